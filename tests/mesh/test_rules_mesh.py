"""The rules of tenants, channels and agents in a whole mesh with a real Envoy: enforced at the edge, and reloaded."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import sqlite3
import urllib.request
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from lmos_grpc import Agent, AgentSettings, MeshClient, serve_agent
from lmos_grpc.cli.app import run_command
from lmos_grpc.cli.command.route import Asked, explain, explain_why_not
from lmos_grpc.cli.doctor import Verdict, examine
from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.cli.mesh.rules_note import read_rules_note
from lmos_grpc.domain.decision import DecisionMode, Exclusion
from lmos_grpc.domain.event import MessageDone, Outcome, Routed, TextDelta, TurnDone
from lmos_grpc.domain.turn import RouteHint
from lmos_grpc.errors import (
    AgentNotAllowedError,
    ChannelNotAllowedError,
    ChannelUnresolvedError,
    TenantNotAllowedError,
    UnknownAgentError,
)
from lmos_grpc.routing import ExpressLane
from tests.mesh.whole_mesh import billing_agent, orders_agent, output_to, settings_for, until, whole_mesh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lmos_grpc import AgentEvent
    from lmos_grpc.cli.mesh.mesh import RunningMesh

pytestmark = pytest.mark.mesh
BILL, PARCEL = "why is my bill so high", "where is my parcel"
RULES = """
kind: Tenant
metadata: {name: default}
---
kind: Channel
metadata: {name: desk}
spec: {channel: web}
---
kind: Channel
metadata: {name: phone}
spec:
  channel: ivr
  requiredCapabilities: [{name: explain-bill, version: ^1.0.0}]
  fallback: {text: {en: Not on the phone.}}
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "mesh.d"
    folder.mkdir()
    return written(folder, RULES)


def written(folder: Path, text: str) -> Path:
    # In one step: whoever looks meanwhile sees the old rules or the new ones, and never half a file.
    new = folder / "rules.new"
    new.write_text(text, "utf-8")
    new.replace(folder / "rules.yaml")
    return folder


def over(mesh: RunningMesh, channel: str = "web", tenant: str = "default") -> MeshClient:
    return MeshClient(mesh.edge, tenant=tenant, channel=channel)


async def events_of(client: MeshClient, text: str) -> list[AgentEvent]:
    return [event async for event in client.invoke(text)]


async def reload(mesh: RunningMesh, folder: Path, text: str) -> None:
    """Writes other rules, tells the process, and waits until it has read them."""
    before = read_rules_note(mesh.state)
    written(folder, text)
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: read_rules_note(mesh.state) not in {None, before})


async def test_what_a_channel_does_not_require_is_kept_out_at_the_edge_and_told(tmp_path: Path, rules: Path) -> None:
    async with whole_mesh(tmp_path, billing_agent(), orders_agent(), rules=(rules,)) as mesh:
        async with over(mesh) as web, over(mesh, "ivr") as phone:
            assert "orders-agent" in {each.source.agent for each in await events_of(web, PARCEL)}

            async def learnt() -> bool:
                return (await phone.explain(PARCEL)).mode is DecisionMode.ABSTAINED

            await until(learnt)  # before that it goes by a first glance
            events = await events_of(phone, PARCEL)
            [routed] = [each.body.decision for each in events if isinstance(each.body, Routed)]
            assert routed.mode is DecisionMode.ABSTAINED
            assert routed.governance is not None
            assert (routed.governance.channel, routed.governance.excluded) == ("phone", {Exclusion.CAPABILITY: 1})
            assert [each.body.message.text for each in events if isinstance(each.body, MessageDone)] == [
                "Not on the phone."
            ]
            assert "42 euros" in await phone.ask(BILL)
            with pytest.raises(AgentNotAllowedError, match="the channel phone does not require"):
                await phone.ask(PARCEL, agent="orders-agent")
        async with over(mesh, "sms") as other, over(mesh, tenant="acme") as stranger:
            with pytest.raises(ChannelNotAllowedError):
                await other.ask(BILL)
            with pytest.raises(TenantNotAllowedError):
                await stranger.ask(BILL)


async def test_of_a_durable_channel_nothing_is_shown_that_is_not_on_the_disk(tmp_path: Path, rules: Path) -> None:
    def last_on_disk(mesh: RunningMesh) -> int:
        with closing(sqlite3.connect(mesh.state / "turns.sqlite")) as connection:
            return int(connection.execute("SELECT coalesce(max(last_sequence), 0) FROM chunk").fetchone()[0])

    written(rules, RULES.replace("spec: {channel: web}", "spec: {channel: web, durable: true}"))
    async with whole_mesh(tmp_path, billing_agent(), rules=(rules,)) as mesh, over(mesh) as web:
        async for event in web.invoke(BILL):
            assert last_on_disk(mesh) >= event.sequence


async def test_why_not_tells_an_agent_that_is_kept_out_to_people_and_to_scripts(tmp_path: Path, rules: Path) -> None:
    strict = RULES.replace("channel: ivr", "channel: ivr\n  policy: strict").replace("^1.0.0", "^2.0.0")
    async with whole_mesh(tmp_path, billing_agent(), orders_agent(), rules=(rules,)) as mesh:
        settings = settings_for(mesh)
        people, script, refused, whole = io.StringIO(), io.StringIO(), io.StringIO(), io.StringIO()
        asked = Asked(BILL, RouteHint())
        assert await explain_why_not(settings, output_to(people), asked, "orders-agent") is ExitCode.OK
        assert await explain_why_not(settings, output_to(script, json=True), asked, "billing-agent") is ExitCode.OK
        assert await explain(settings, output_to(whole), asked) is ExitCode.OK
        await reload(mesh, rules, strict.replace("channel: ivr", "channel: web").replace("spec: {channel: web}", ""))
        assert await explain_why_not(settings, output_to(refused, json=True), asked, "billing-agent") is ExitCode.OK
    assert "orders-agent does not get it:" in people.getvalue()
    assert "not chosen" in people.getvalue()
    assert "by the rules of desk: subset stable · 2 may have it" in whole.getvalue()
    said = json.loads(script.getvalue())
    assert said["decision"]["mode"] == "DECISION_MODE_CLASSIFIED"
    assert [each["reason"] for each in said["whyNot"]] == ["it gets the turn"]
    answer = json.loads(refused.getvalue())
    assert answer["error"]["reason"] == "ERROR_REASON_CHANNEL_UNRESOLVED"
    assert [each["exclusion"] for each in answer["whyNot"]] == ["EXCLUSION_VERSION"]


def slow_agent(go_on: asyncio.Event) -> Agent:
    """Begins to answer, and ends when the test says so."""
    agent = Agent("slow-agent", version="1.0.0", description="Counts slowly.")

    @agent.capability("count", version="1.0.0", examples={"en": ["please count for me"]})
    async def count(_turn: object) -> AsyncIterator[str]:
        yield "one "
        await go_on.wait()
        yield "two"

    return agent


async def test_new_rules_come_into_force_without_dropping_a_turn(tmp_path: Path, rules: Path) -> None:
    go_on = asyncio.Event()
    async with whole_mesh(tmp_path, slow_agent(go_on), rules=(rules,)) as mesh, over(mesh) as web:
        events: list[AgentEvent] = []
        async for event in web.invoke("please count for me"):
            events.append(event)
            if isinstance(event.body, TextDelta) and event.body.text == "one ":
                await reload(mesh, rules, RULES.replace("spec: {channel: web}", "spec: {channel: app}"))
                with pytest.raises(ChannelNotAllowedError):
                    await web.ask("please count for me")
                go_on.set()
        assert "".join(each.body.text for each in events if isinstance(each.body, TextDelta)) == "one two"
        assert isinstance(events[-1].body, TurnDone)
        assert events[-1].body.outcome is Outcome.COMPLETED


async def test_wrong_rules_change_nothing_and_are_told_by_doctor_and_metrics(tmp_path: Path, rules: Path) -> None:
    async with whole_mesh(tmp_path, billing_agent(), rules=(rules,)) as mesh, over(mesh, "ivr") as phone:

        async def findings() -> list[tuple[Verdict, str]]:
            found = await examine(settings_for(mesh), {})
            return [(each.verdict, each.found) for each in found if each.check == "rules"]

        [(verdict, found)] = await findings()
        assert verdict is Verdict.OK
        assert found.endswith("1 tenants, 2 channels, 0 agents")
        await reload(mesh, rules, RULES.replace("channel: ivr", "chanel: ivr"))
        assert "42 euros" in await phone.ask(BILL)
        [(verdict, found)] = await findings()
        assert verdict is Verdict.WARNING
        assert "rules.yaml:12:3: unknown key 'chanel' in `spec`; did you mean 'channel'?" in found
        # Once for the signal, and once more where the mesh was just looking by itself.
        assert re.search(r'lmos_rules_readings_total{result="refused"} [12]\.0', await metrics_of(mesh))
        assert "lmos_rules_refused 1.0" in await metrics_of(mesh)
        await reload(
            mesh, rules, RULES.replace("^1.0.0", "^2.0.0").replace("channel: ivr", "channel: ivr\n  policy: strict")
        )
        with pytest.raises(ChannelUnresolvedError, match=r"billing-agent offers 1\.0\.0"):
            await phone.ask(BILL)
        assert "lmos_rules_refused 0.0" in await metrics_of(mesh)
    assert read_rules_note(tmp_path) is None


async def metrics_of(mesh: RunningMesh) -> str:
    def read() -> str:
        with urllib.request.urlopen(f"http://{mesh.metrics}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    return await asyncio.to_thread(read)


async def test_an_agent_that_is_declared_with_an_address_is_there_for_as_long_as_it_is_declared(
    tmp_path: Path, rules: Path
) -> None:
    async with serve_agent(billing_agent(), AgentSettings(mesh=None)) as alone:
        declared = (
            "kind: Agent\nmetadata: {name: billing-agent, labels: {version: 1.2.0}}\n"
            f"spec:\n  address: {alone.address}\n  supportedChannels: [ivr]\n"
            f"  providedCapabilities: [{{name: explain-bill, version: 1.0.0, examples: [{BILL}]}}]\n"
        )
        async with whole_mesh(tmp_path, rules=(rules,)) as mesh, over(mesh, "ivr") as phone, over(mesh) as web:
            await reload(mesh, rules, f"{RULES}---\n{declared}")
            await until(lambda: bool(mesh.view.agents))
            assert "42 euros" in await phone.ask(BILL)
            with pytest.raises(AgentNotAllowedError, match="does not serve the channel 'web'"):
                await web.ask(BILL, agent="billing-agent")
            await reload(mesh, rules, RULES)
            await until(lambda: not mesh.view.agents)
            with pytest.raises(UnknownAgentError):
                await phone.ask(BILL, agent="billing-agent")


def two_skills() -> Agent:
    """Says which of its two capabilities had the turn."""
    agent = Agent("desk-agent", version="1.0.0", description="Explains and cancels.")

    @agent.capability("cancel-contract", version="1.0.0", examples={"en": ["cancel my contract"]})
    async def cancel(_turn: object) -> AsyncIterator[str]:
        yield "cancelled"

    @agent.capability("explain-bill", version="1.0.0", examples={"en": [BILL]})
    async def explain_bill(_turn: object) -> AsyncIterator[str]:
        yield "explained"

    return agent


@pytest.mark.parametrize("lane", [ExpressLane.OFF, ExpressLane.ON])
async def test_an_agent_is_held_to_what_the_channel_permits_on_both_lanes(
    lane: ExpressLane, tmp_path: Path, rules: Path
) -> None:
    async with (
        whole_mesh(tmp_path, two_skills(), express=lane, rules=(rules,)) as mesh,
        over(mesh) as web,
        over(mesh, "ivr") as phone,
    ):
        assert await web.ask("cancel my contract") == "cancelled"
        assert await phone.ask("cancel my contract", agent="desk-agent") == "explained"
        assert await phone.ask("cancel my contract") == "Not on the phone."
        with pytest.raises(AgentNotAllowedError, match="does not require cancel-contract"):
            await phone.ask("cancel my contract", capability="cancel-contract")


@pytest.mark.parametrize("command", [("up", "--edge"), ("serve", "orchestrator", "--orchestrator")])
def test_nothing_starts_with_wrong_rules(
    command: tuple[str, ...], tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(rules, "kind: Chanel\n")
    free = "127.0.0.1:0"
    code = run_command([*command, free, "--metrics", free, "--config", str(rules), "--state", str(tmp_path / "state")])
    assert code == ExitCode.USAGE
    assert "rules.yaml:1:7: 'Chanel' is no kind; did you mean 'Channel'?" in capsys.readouterr().err
