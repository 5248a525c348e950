from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.cli.arrivals import Arrival, Arrivals
from lmos_grpc.cli.mesh.agent_line import AgentLine
from lmos_grpc.cli.mesh.agent_process import AgentCommand, agent_processes
from lmos_grpc.cli.mesh.edge_options import EdgeOptions
from lmos_grpc.cli.mesh.envoy_part import Upstreams
from lmos_grpc.cli.mesh.mesh import prepare_state
from lmos_grpc.cli.mesh.mesh_settings import ANY, MeshSettings, split_address
from lmos_grpc.cli.mesh.router_processes import router_command
from lmos_grpc.cli.mesh.whereabouts import NOTE, Whereabouts, noted, read_note
from lmos_grpc.cli.running import beside, stop_signals
from lmos_grpc.cli.settings import MeshSection, Settings, TelemetrySection
from lmos_grpc.clients.live_view import LiveView
from lmos_grpc.domain.card import AgentCard, Capability
from lmos_grpc.domain.instance import (
    Instance,
    InstancePut,
    InstanceRemoved,
    InstanceState,
    Lease,
    Load,
    RegistryUpdate,
    RemovalReason,
)
from lmos_grpc.domain.turn import Message, TurnRequest
from lmos_grpc.errors import EnvironmentFaultError, InvalidConfigurationError, MeshStartingError
from lmos_grpc.routing import ClassifierKind, ExpressLane, RoutingSettings
from lmos_grpc.telemetry import start_tracing

if TYPE_CHECKING:
    from pathlib import Path

    from lmos_grpc.rpc import Transport

CARD = AgentCard("billing-agent", "1.0.0", capabilities=(Capability("explain-bill", "1.0.0"),))


def put(view: LiveView, number: int, state: InstanceState = InstanceState.READY, load: int = 0) -> None:
    name = f"i-{number}"
    instance = Instance(name, f"127.0.0.1:{number}", CARD, Lease(name, 1), state, Load(load))
    view.apply(RegistryUpdate(view.revision + 1, "", InstancePut(instance)))


def remove(view: LiveView, number: int) -> None:
    gone = InstanceRemoved(f"i-{number}", RemovalReason.EXPIRED)
    view.apply(RegistryUpdate(view.revision + 1, "", gone))


async def test_agents_are_announced_as_they_come_change_and_go() -> None:
    view, told = LiveView(), list[Arrival]()
    put(view, 1)
    with Arrivals(view, told.append).announced():
        put(view, 1, load=5)  # no news
        put(view, 2)
        put(view, 2, InstanceState.DRAINING)
        remove(view, 2)
        remove(view, 1)
    put(view, 3)  # nobody listens any more
    assert [each.text for each in told] == [
        "+ billing-agent 1.0.0 is here: explain-bill",
        "~ billing-agent 1.0.0: 2 instances",
        "~ billing-agent 1.0.0 drains: 1 instance left",
        "~ billing-agent 1.0.0: 1 instance",
        "- billing-agent 1.0.0 is gone",
    ]
    assert told[0].json == {
        "agent": "billing-agent",
        "version": "1.0.0",
        "subset": "stable",
        "ready": 1,
        "draining": 0,
        "capabilities": ["explain-bill"],
    }


def test_a_note_lasts_as_long_as_the_mesh(tmp_path: Path) -> None:
    here = Whereabouts("e:1", "i:2", "o:3", "m:4")
    with noted(tmp_path, here):
        assert read_note(tmp_path) == here
    assert read_note(tmp_path) is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"edge": "x"}', '{"edge": "x", "internal": "y", "more": 1}'])
def test_a_note_that_cannot_be_read_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / NOTE).write_text(text)
    assert read_note(tmp_path) is None


def test_the_line_to_agents_says_that_the_mesh_starts_until_it_is_connected() -> None:
    messages: list[bytes] = []
    line = AgentLine(start_tracing("test", endpoint=None, instance_id="1").tracer)
    with pytest.raises(MeshStartingError, match="Envoy is not ready"):
        line.receive(TurnRequest(Message.from_user("hello")), messages.append)


def test_what_is_not_set_for_a_mesh_takes_free_ports(tmp_path: Path) -> None:
    settings = MeshSettings(state=tmp_path)
    assert {settings.edge, settings.internal, settings.metrics, settings.traces} == {ANY}
    settings.check()
    with pytest.raises(InvalidConfigurationError, match="refusing to listen"):
        replace(settings, metrics="192.0.2.1:9464").check()
    replace(settings, metrics="192.0.2.1:9464", insecure_listen=True).check()


def test_the_settings_of_the_command_line_make_a_mesh(tmp_path: Path) -> None:
    section = MeshSection(edge="127.0.0.1:1234", metrics="127.0.0.1:4321", state=tmp_path, fallback_agent="concierge")
    settings = MeshSettings.of(Settings(mesh=section, agents=("a.py",)))
    assert (settings.edge, settings.metrics, settings.agents) == ("127.0.0.1:1234", "127.0.0.1:4321", ("a.py",))
    assert settings.routing.fallback_agent == "concierge"
    section = MeshSection(state=tmp_path, most_held_bytes=10_000, max_turns=7)
    turns = MeshSettings.of(Settings(mesh=section)).turns
    assert (turns.most_held_bytes, turns.max_turns) == (10_000, 7)


def test_a_router_in_a_process_of_its_own_decides_as_the_mesh_was_told_to(
    tmp_path: Path, each_transport: Transport
) -> None:
    routing = RoutingSettings(classifier=ClassifierKind.SENTENCE, fallback_agent="desk", express=ExpressLane.ASKED)
    settings = MeshSettings(state=tmp_path, routing=routing, rules=(tmp_path,))
    upstreams = Upstreams(ads="a:1", discovery="d:1", orchestrator="o:1")
    command = router_command(1, "127.0.0.1:9", settings, upstreams)
    assert command.environment == {"LMOS_CLASSIFIER": "sentence", "LMOS_TRANSPORT": each_transport.value}
    told = dict(zip(command.options[::2], command.options[1::2], strict=True))
    assert (told["--router"], told["--express"], told["--fallback-agent"]) == ("127.0.0.1:9", "asked", "desk")
    assert (told["--orchestrator"], told["--rules"]) == ("o:1", str(tmp_path))


def test_addresses_are_split() -> None:
    assert split_address("127.0.0.1:80") == ("127.0.0.1", 80)
    assert split_address("[::1]:80") == ("::1", 80)
    for wrong in ("", "80", ":80", "host:", "host:http"):
        with pytest.raises(InvalidConfigurationError, match="no address"):
            split_address(wrong)


def test_a_state_directory_is_private_and_one_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    prepare_state(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFaultError, match="--state DIR"):
        prepare_state(tmp_path / "file" / "b")


async def test_what_runs_beside_a_block_ends_with_it() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with beside(work()):
        await asyncio.sleep(0)  # let it start
    assert ended.is_set()


async def test_a_signal_sets_the_event_and_the_handlers_are_taken_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(5):
            await stop.wait()
    assert signal.getsignal(signal.SIGTERM) is before


async def test_an_agent_that_does_not_drain_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stubborn = tmp_path / "python"
    stubborn.write_text("#!/bin/sh\ntrap '' TERM\necho ready >&2\nwhile true; do sleep 0.05; done\n")
    stubborn.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stubborn))
    told, logged = list[str](), asyncio.Queue[str]()
    command = AgentCommand("stubborn", "agent.py", tmp_path)
    limit = timedelta(milliseconds=100)
    async with asyncio.timeout(10):
        async with agent_processes([command], tell=told.append, tell_log=logged.put_nowait, drain_limit=limit) as [one]:
            assert await logged.get() == "[stubborn] ready"
        assert one.process.returncode == -9
    assert told == []


@pytest.mark.parametrize(
    ("said", "opened"),
    [
        ("off", ExpressLane.OFF),
        ("asked", ExpressLane.ASKED),
        ("on", ExpressLane.ON),
        ("True", ExpressLane.ON),
        ("no", ExpressLane.OFF),
    ],
)
def test_the_express_lane_is_opened_as_other_settings_are(said: str, opened: ExpressLane) -> None:
    assert MeshSettings.of(Settings(mesh=MeshSection(express=said))).routing.express is opened


def test_the_express_lane_is_closed_unless_it_is_opened_and_what_is_neither_is_named() -> None:
    assert MeshSettings.of(Settings()).routing.express is ExpressLane.OFF
    with pytest.raises(InvalidConfigurationError, match="'fast'; say one of off, asked, on"):
        MeshSettings.of(Settings(mesh=MeshSection(express="fast")))


@pytest.mark.parametrize("share", ["-1", "1.5", "much", "nan"])
def test_what_is_no_share_of_the_traces_is_named(share: str) -> None:
    with pytest.raises(InvalidConfigurationError, match=r"telemetry\.sampling is .*; say a number from 0 to 1"):
        MeshSettings.of(Settings(telemetry=TelemetrySection(sampling=share)))


def test_the_edge_lets_in_pages_of_this_machine_and_takes_every_trace_unless_it_is_told_otherwise() -> None:
    assert MeshSettings.of(Settings()).edge_options == EdgeOptions(allowed_origins=("local",), sampling=1)
    section = MeshSection(allowed_origins="https://a.example, https://b.example")
    told = MeshSettings.of(Settings(mesh=section, telemetry=TelemetrySection(sampling="0.1"))).edge_options
    assert told == EdgeOptions(allowed_origins=("https://a.example", "https://b.example"), sampling=0.1)


def test_routers_are_as_many_as_were_asked_for() -> None:
    assert MeshSettings.of(Settings(mesh=MeshSection(routers="2"))).routers == 2
    with pytest.raises(InvalidConfigurationError, match=r"mesh\.routers"):
        MeshSettings.of(Settings(mesh=MeshSection(routers="two")))


async def test_one_that_dies_again_and_again_is_started_later_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fragile = tmp_path / "python"
    fragile.write_text("#!/bin/sh\necho no data >&2\nexit 3\n")
    fragile.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fragile))
    monkeypatch.setattr("lmos_grpc.cli.mesh.agent_process._FIRST_PAUSE", timedelta(milliseconds=10))
    told = asyncio.Queue[str]()
    command = AgentCommand("fragile", "agent.py", tmp_path)
    async with asyncio.timeout(10):
        async with agent_processes([command], tell=told.put_nowait, tell_log=print, restart=True):
            said = [await told.get() for _ in range(3)]
    why = "! fragile ended by itself with code 3: no data; starting it again in"
    assert said == [f"{why} {pause} s" for pause in ("0.01", "0.02", "0.04")]
