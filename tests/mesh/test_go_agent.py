"""The agent in Go: written from the protos alone, it lives in the mesh like any other."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2, health_pb2_grpc
from lmos.agent.v1 import agent_event_pb2, agent_service_pb2, agent_service_pb2_grpc, message_pb2
from lmos.discovery.v1 import discovery_service_pb2 as pb
from lmos.discovery.v1 import discovery_service_pb2_grpc, instance_pb2

from lmos_grpc.discovery import GrpcCardProbe, RegistrationVerifier, open_registry, serve_discovery
from lmos_grpc.domain.card import card_violations
from lmos_grpc.wire.card import card_from_wire
from tests.fakes.registry import FakeRegistry, instance
from tests.mesh.conftest import answer, running_mesh, server_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from google.protobuf.message import Message

    Context = grpc.aio.ServicerContext[Any, Any]

pytestmark = pytest.mark.timeout(300)  # the first build on a machine compiles gRPC for Go

ROOT = Path(__file__).resolve().parents[2]
MAIN = ROOT / "agents" / "roaming-go" / "main.go"
QUESTION = "what does roaming cost in Switzerland?"
PATIENCE_SECONDS = 10


class RecordingDiscovery(discovery_service_pb2_grpc.DiscoveryServiceServicer):
    """Gives leases of 300 ms and notes what it is asked, in order."""

    def __init__(self) -> None:
        self.calls: list[Message] = []
        self.lost = False  # whether the next renewal is told that there is no lease
        self._changed = asyncio.Condition()
        self._epoch = 0

    async def Register(self, request: pb.RegisterRequest, context: Context) -> pb.RegisterResponse:  # noqa: N802 # as the service names it
        del context
        self._epoch += 1
        await self._note(request)
        return pb.RegisterResponse(lease=self._lease(request.instance_id))

    async def Renew(self, request: pb.RenewRequest, context: Context) -> pb.RenewResponse:  # noqa: N802 # as the service names it
        await self._note(request)
        if self.lost:
            self.lost = False
            await context.abort(grpc.StatusCode.NOT_FOUND, "no live lease: register again")
        return pb.RenewResponse(lease=self._lease(request.instance_id))

    async def UpdateState(self, request: pb.UpdateStateRequest, context: Context) -> pb.UpdateStateResponse:  # noqa: N802 # as the service names it
        del context
        await self._note(request)
        return pb.UpdateStateResponse()

    async def Deregister(self, request: pb.DeregisterRequest, context: Context) -> pb.DeregisterResponse:  # noqa: N802 # as the service names it
        del context
        await self._note(request)
        return pb.DeregisterResponse()

    async def asked(self, *kinds: type[Message]) -> list[Message]:
        """Waits until calls of these kinds came in this order, others between them or not; gives all calls."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(lambda: _in_order(kinds, self.calls))
        return self.calls

    def _lease(self, instance_id: str) -> instance_pb2.Lease:
        return instance_pb2.Lease(instance_id=instance_id, epoch=self._epoch, ttl=Duration(nanos=300_000_000))

    async def _note(self, call: Message) -> None:
        async with self._changed:
            self.calls.append(call)
            self._changed.notify_all()


def recording_discovery() -> RecordingDiscovery:
    # At run time the generated base answers UNIMPLEMENTED for what is not there; its type says abstract.
    return RecordingDiscovery()  # type: ignore[abstract]


def _in_order(kinds: tuple[type[Message], ...], calls: list[Message]) -> bool:
    rest = iter(calls)
    return all(any(isinstance(call, kind) for call in rest) for kind in kinds)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("go") is None:
        if "go" in os.environ.get("LMOS_TEST_REQUIRE", "").split(","):
            pytest.fail("LMOS_TEST_REQUIRE asks for go, and there is no `go` in the PATH")
        pytest.skip("the Go toolchain is not installed: there is no `go` in the PATH")
    out = tmp_path_factory.mktemp("go") / "roaming-go"
    built = subprocess.run(
        [ROOT / "tools" / "build_go_agent.sh", out], capture_output=True, text=True, timeout=280, check=False
    )
    assert built.returncode == 0, built.stderr
    return out


@asynccontextmanager
async def running(program: Path, mesh: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The agent as a process, and where it answers; killed at the end where it still runs."""
    process = await asyncio.create_subprocess_exec(program, "-mesh", mesh, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    try:
        line = await asyncio.wait_for(process.stderr.readline(), PATIENCE_SECONDS)
        found = re.search(rb"answers at (\S+)", line)
        assert found, line
        yield process, found[1].decode()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


def _adding(discovery: RecordingDiscovery) -> Callable[[grpc.aio.Server], None]:
    return lambda server: discovery_service_pb2_grpc.add_DiscoveryServiceServicer_to_server(discovery, server)


def _asking(text: str, *, turn_id: str = "T-1", locale: str = "") -> agent_service_pb2.InvokeRequest:
    request = agent_service_pb2.InvokeRequest(conversation_id="talk", turn_id=turn_id)
    request.message.parts.append(message_pb2.Part(text=text))
    request.user.locale = locale
    return request


async def _events(
    channel: grpc.aio.Channel, request: agent_service_pb2.InvokeRequest
) -> list[agent_event_pb2.AgentEvent]:
    # The generated stub serves both kinds of channel; its type knows only one at a time.
    stub: agent_service_pb2_grpc.AgentServiceAsyncStub = agent_service_pb2_grpc.AgentServiceStub(channel)  # type: ignore[assignment]
    return [response.event async for response in stub.Invoke(request, timeout=PATIENCE_SECONDS)]


def _text(events: list[agent_event_pb2.AgentEvent]) -> str:
    return "".join(event.text_delta.text for event in events)


@pytest.fixture
async def channel(program: Path) -> AsyncIterator[grpc.aio.Channel]:
    async with (
        server_of(_adding(recording_discovery())) as mesh,
        running(program, mesh) as (_, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield channel


async def test_it_registers_with_its_card_and_renews_its_lease(program: Path) -> None:
    discovery = recording_discovery()
    async with server_of(_adding(discovery)) as mesh, running(program, mesh) as (_, address):
        calls = await discovery.asked(pb.RegisterRequest, pb.RenewRequest, pb.RenewRequest)
    first, renewal = calls[:2]
    assert isinstance(first, pb.RegisterRequest)
    assert isinstance(renewal, pb.RenewRequest)
    assert first.address == address
    assert (renewal.instance_id, renewal.epoch) == (first.instance_id, 1)
    card = card_from_wire(first.card)
    assert (card.name, card.capabilities[0].id) == ("roaming-agent", "roaming-costs")
    assert card_violations(card) == ()


async def test_it_registers_anew_when_its_lease_is_lost(program: Path) -> None:
    discovery = recording_discovery()
    async with server_of(_adding(discovery)) as mesh, running(program, mesh):
        await discovery.asked(pb.RegisterRequest)
        discovery.lost = True
        calls = await discovery.asked(pb.RegisterRequest, pb.RenewRequest, pb.RegisterRequest)
    again = [call for call in calls if isinstance(call, pb.RegisterRequest)][1]
    assert again.epoch == 1


async def test_it_finds_a_discovery_that_comes_up_later(program: Path) -> None:
    async with server_of() as place:
        pass
    discovery = recording_discovery()
    async with running(program, place) as (process, _):
        assert process.stderr is not None
        assert b"trying again" in await asyncio.wait_for(process.stderr.readline(), PATIENCE_SECONDS)
        async with server_of(_adding(discovery), address=place):
            await discovery.asked(pb.RegisterRequest)


async def test_it_drains_on_sigterm_and_exits_with_0(program: Path) -> None:
    discovery = recording_discovery()
    async with server_of(_adding(discovery)) as mesh, running(program, mesh) as (process, _):
        await discovery.asked(pb.RegisterRequest)
        process.send_signal(signal.SIGTERM)
        calls = await discovery.asked(pb.RegisterRequest, pb.UpdateStateRequest, pb.DeregisterRequest)
        assert await asyncio.wait_for(process.wait(), PATIENCE_SECONDS) == 0
    state = next(call for call in calls if isinstance(call, pb.UpdateStateRequest))
    assert (state.state, state.epoch) == (instance_pb2.INSTANCE_STATE_DRAINING, 1)


async def test_its_answer_is_a_stream_that_keeps_the_contract(channel: grpc.aio.Channel) -> None:
    events = await _events(channel, _asking(QUESTION))
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    kinds = [event.WhichOneof("event") for event in events]
    assert kinds == ["accepted", *["text_delta"] * (len(events) - 2), "turn_done"]
    assert len(events) > 5
    assert {(event.turn_id, event.source.agent, event.source.capability) for event in events} == {
        ("T-1", "roaming-agent", "roaming-costs")
    }
    assert events[0].accepted.conversation_id == "talk"
    assert events[-1].turn_done.outcome == agent_event_pb2.OUTCOME_COMPLETED
    assert _text(events) == "A day pass for data (Switzerland) is €3.99; it lasts 24 hours and ends by itself."


async def test_it_answers_in_german_by_the_words_or_by_the_locale(channel: grpc.aio.Channel) -> None:
    by_words = _text(await _events(channel, _asking("Was kostet Roaming in der Schweiz?", turn_id="T-1")))
    by_locale = _text(await _events(channel, _asking("Roaming Schweiz", turn_id="T-2", locale="de-AT")))
    assert by_words == by_locale
    assert "Schweiz) kostet 3,99 €" in by_words


async def test_the_same_turn_twice_is_one_turn_and_another_message_is_refused(channel: grpc.aio.Channel) -> None:
    assert await _events(channel, _asking(QUESTION)) == await _events(channel, _asking(QUESTION))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await _events(channel, _asking("and in Turkey?"))
    assert refused.value.code() is grpc.StatusCode.ABORTED


async def test_an_empty_message_is_refused_before_the_first_event(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await _events(channel, _asking("  "))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "empty" in (refused.value.details() or "")


async def test_it_leaves_live_sessions_to_the_mesh(channel: grpc.aio.Channel) -> None:
    stub: agent_service_pb2_grpc.AgentServiceAsyncStub = agent_service_pb2_grpc.AgentServiceStub(channel)  # type: ignore[assignment]  # as above
    assert await stub.Converse(timeout=PATIENCE_SECONDS).code() is grpc.StatusCode.UNIMPLEMENTED


async def test_it_answers_health_checks(channel: grpc.aio.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    checked = await health.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_SECONDS)
    assert checked.status == health_pb2.HealthCheckResponse.SERVING


async def test_the_real_discovery_verifies_it_and_forgets_it_when_it_ends(program: Path) -> None:
    changed = asyncio.Event()
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(open_registry(on_change=lambda _: changed.set()))
        registry = host.registry
        server = await stack.enter_async_context(
            serve_discovery("127.0.0.1:0", registry, RegistrationVerifier(registry, GrpcCardProbe()))
        )
        process, address = await stack.enter_async_context(running(program, server.address))
        await _until(lambda: bool(registry.instances()), changed)
        [registered] = registry.instances()
        assert (registered.card.name, registered.address) == ("roaming-agent", address)
        process.terminate()
        await _until(lambda: not registry.instances(), changed)


async def _until(condition: Callable[[], bool], changed: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await changed.wait()
            changed.clear()


@pytest.mark.mesh
async def test_it_is_reached_through_envoy_like_any_agent(program: Path, tmp_path: Path) -> None:
    registry = FakeRegistry()
    async with (
        server_of(_adding(recording_discovery())) as discovery,
        running(program, discovery) as (_, address),
        running_mesh(tmp_path, registry) as mesh,
    ):
        registry.put(instance("roaming-agent", address))
        text = await answer(aiter(mesh.text("is roaming in the USA free?", agent="roaming-agent")))
    assert text == "A day pass for data (United States) is €7.99; it lasts 24 hours and ends by itself."


def test_its_own_code_is_under_100_lines() -> None:
    code = re.sub(r"^import \(.*?^\)", "", MAIN.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    lines = [line for line in code.splitlines() if line.strip() and not line.strip().startswith("//")]
    assert 50 < len(lines) < 100
