"""The express lane through a real Envoy, between plain agents: what it keeps when the router, or a caller, is odd."""

from __future__ import annotations

import asyncio
import gzip
import struct
import time
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest
from lmos.agent.v1 import agent_service_pb2, agent_service_pb2_grpc, decision_pb2

from lmos_grpc.conversation import MemoryTurnLog
from lmos_grpc.express import LaneKeeper, TurnRecorder, serve_router
from lmos_grpc.routing import ExpressLane, Router, RoutingSettings
from lmos_grpc.telemetry import Metrics
from tests.mesh.acceptance import INVOKE
from tests.mesh.conftest import ROUTER_LIMIT, answer, plain_agents, running_mesh
from tests.mesh.foreign_tool import output_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from lmos.agent.v1.agent_service_pb2_grpc import AgentServiceAsyncStub

    from lmos_grpc.domain.turn import TurnRequest
    from tests.fakes.plain_agent import PlainAgent
    from tests.fakes.registry import FakeRegistry
    from tests.mesh.conftest import Mesh

pytestmark = pytest.mark.mesh
Call = grpc.aio.UnaryStreamCall[Any, Any]


class HoldableKeeper(LaneKeeper):
    """Decides only when it is let."""

    def __init__(self, *parts: Any) -> None:  # Any: passed on
        super().__init__(*parts)
        self.free = asyncio.Event()
        self.free.set()
        self.asked = 0

    def at_once(self, turn: TurnRequest) -> bytes | None:
        self.asked += 1
        return super().at_once(turn) if self.free.is_set() else None

    async def after_asking(self, turn: TurnRequest) -> bytes:
        await self.free.wait()
        return await super().after_asking(turn)


@dataclass
class Express:
    """A mesh with an express lane, two instances of one agent, and the router's own end."""

    mesh: Mesh
    agents: list[PlainAgent]
    keeper: HoldableKeeper
    router: str
    stop_router: Callable[[], Awaitable[None]]

    def ask(  # what a caller may say
        self, said: str, *metadata: tuple[str, str], conversation: str = "c", turn: str = "t", **more: Any
    ) -> Call:
        stub: AgentServiceAsyncStub = agent_service_pb2_grpc.AgentServiceStub(self.mesh.edge)  # type: ignore[assignment]
        return stub.Invoke(request(said, conversation, turn), metadata=metadata, timeout=20, **more)

    @property
    def agent_calls(self) -> int:
        return sum(len(each.calls) for each in self.agents)


def request(said: str, conversation: str = "c", turn: str = "t") -> agent_service_pb2.InvokeRequest:
    # Asked for, so that a later turn of a conversation takes it without its history.
    hint = decision_pb2.RouteHint(agent="billing", lane=decision_pb2.LANE_EXPRESS)
    asked = agent_service_pb2.InvokeRequest(conversation_id=conversation, turn_id=turn, route_hint=hint)
    asked.message.parts.add(text=said)
    return asked


async def lane(call: grpc.aio.Call) -> str:
    """The lane that Envoy tells the caller of; empty: the orchestrator has the turn."""
    return str(dict(await call.initial_metadata()).get("x-lmos-lane", ""))


@asynccontextmanager
async def express_mesh(state: Path, registry: FakeRegistry) -> AsyncIterator[Express]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        log = MemoryTurnLog()
        router = Router(registry.view, settings=RoutingSettings(express=ExpressLane.ON))
        recorder = TurnRecorder(log, now=lambda: datetime.now(UTC))
        await enter(recorder.running())
        keeper = HoldableKeeper(router, registry.view, log, recorder, Metrics())
        own = await enter(AsyncExitStack())
        address = await own.enter_async_context(serve_router("127.0.0.1:0", keeper))
        mesh = await enter(running_mesh(state, registry, express=(address,)))
        agents = await enter(plain_agents(registry, "billing", "one", "two"))
        yield Express(mesh, agents, keeper, address, own.aclose)


@pytest.fixture
async def express(tmp_path: Path, registry: FakeRegistry) -> AsyncIterator[Express]:
    async with express_mesh(tmp_path, registry) as running:
        yield running


async def test_a_turn_goes_from_the_agent_through_envoy_to_the_caller_and_nowhere_else(express: Express) -> None:
    call = express.ask("count 2")
    events = aiter(call)
    assert (await anext(events)).event.WhichOneof("event") == "accepted"
    assert await lane(call) == "express"
    for number in ("1", "2"):
        for agent in express.agents:
            agent.steps.release()  # the agent waits for this, so no event can come early
        assert (await anext(events)).event.text_delta.text == number
    assert [each.event.WhichOneof("event") async for each in events] == ["text_delta", "turn_done"]
    assert (express.mesh.orchestrator.calls, express.agent_calls) == ([], 1)


async def test_the_agent_is_told_what_the_mesh_chose_and_the_caller_cannot(express: Express) -> None:
    forged = (
        ("x-lmos-route", "nobody/1.0.0/stable"),
        ("x-lmos-capability", "forged"),
        ("x-lmos-lane", "forged"),
        ("x-lmos-conversation", "forged"),
        ("x-lmos-visited", "billing"),
    )
    await answer(express.ask("hello", *forged))
    [seen] = [each for agent in express.agents for each in agent.calls]
    told = {name: value for name, value in seen.items() if name.startswith("x-lmos-")}
    assert told == {"x-lmos-route": "billing/1.0.0/stable", "x-lmos-lane": "express", "x-lmos-conversation": "c"}


async def test_what_the_router_leaves_has_no_route_of_the_callers_making(express: Express) -> None:
    forged = (("x-lmos-route", "billing/1.0.0/stable"), ("x-lmos-capability", "forged"))
    assert await answer(express.ask("hello", *forged, turn="")) == "orchestrator"
    [seen] = express.mesh.orchestrator.calls
    assert not {"x-lmos-route", "x-lmos-capability", "x-lmos-lane"} & seen.keys()


async def test_the_turns_of_a_conversation_go_to_one_instance(express: Express) -> None:
    for number in range(8):
        conversation = f"c{number}"
        labels = {await answer(express.ask("hi", conversation=conversation, turn=str(turn))) for turn in range(3)}
        assert len(labels) == 1
    assert all(each.calls for each in express.agents)


def numbered(size: int) -> str:
    """A text in which no piece is like another."""
    return "".join(f"{number:07} " for number in range(size // 8))


@pytest.mark.parametrize("size", [900_000, 4_000_000])
async def test_a_large_message_arrives_whole(express: Express, size: int) -> None:
    call = express.ask(numbered(size))
    assert await answer(call) in {"one", "two"}
    assert await lane(call) == "express"
    assert [each for agent in express.agents for each in agent.said] == [numbered(size)]


@pytest.mark.parametrize("fault", ["gone", "hangs"])
async def test_a_large_message_arrives_whole_at_the_orchestrator_when_the_router_fails(
    express: Express, fault: str
) -> None:
    if fault == "gone":
        await express.stop_router()
    express.keeper.free.clear()
    said = numbered(900_000)
    for turn in range(5):
        assert await answer(express.ask(said, turn=str(turn))) == "orchestrator"
    assert express.mesh.orchestrator.said == [said] * 5


@pytest.mark.parametrize("size", [5_300_000, 12_000_000])
async def test_a_message_that_is_too_large_is_refused_by_name(express: Express, size: int) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await answer(express.ask(numbered(size)))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    trailers = dict(refused.value.trailing_metadata() or ())
    assert trailers["x-lmos-error-reason"] == "MESSAGE_TOO_LARGE"
    assert trailers["grpc-status-details-bin"]
    assert not express.mesh.orchestrator.said


async def test_a_first_message_that_comes_late_takes_the_express_lane(express: Express) -> None:
    async def late() -> AsyncIterator[bytes]:
        await asyncio.sleep(ROUTER_LIMIT.total_seconds() + 0.5)  # the delay is the case
        yield request("hello").SerializeToString()

    method: grpc.aio.StreamStreamMultiCallable[Any, Any] = express.mesh.edge.stream_stream(
        INVOKE, response_deserializer=agent_service_pb2.InvokeResponse.FromString
    )
    call = method(late(), timeout=10)
    assert await answer(call) in {"one", "two"}
    assert await lane(call) == "express"


async def test_a_compressed_message_is_read_by_the_orchestrator(express: Express) -> None:
    call = express.ask("hello " * 100, compression=grpc.Compression.Gzip)
    assert await answer(call) == "orchestrator"


async def test_a_message_that_says_it_is_compressed_and_not_how_is_refused(express: Express) -> None:
    packed = gzip.compress(request("hello").SerializeToString())
    told = (
        await output_of(
            *("curl", "-sS", "--http2-prior-knowledge", "--max-time", "5", "-D", "-", "-o", "-"),
            *("-H", "content-type: application/grpc", "-H", "te: trailers", "--data-binary", "@-"),
            f"http://127.0.0.1:{express.mesh.envoy.edge_port}{INVOKE}",
            sent=struct.pack(">BI", 1, len(packed)) + packed,
        )
    ).decode()
    status = {name: value for name, _, value in (line.partition(": ") for line in told.splitlines())}
    assert status["grpc-status"] in {"12", "13"}
    assert "ompress" in status["grpc-message"]
    assert express.agent_calls == 0


async def test_an_agents_refusal_is_a_status_after_its_retries(express: Express) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await answer(express.ask("fail early"))
    assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.UNAVAILABLE, "not now")
    assert (express.mesh.orchestrator.calls, express.agent_calls) == ([], 3)


async def test_an_agent_that_breaks_after_its_first_event_is_not_asked_again(express: Express) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as broken:
        await answer(express.ask("fail late"))
    assert broken.value.details() == "broke down"
    assert express.agent_calls == 1


async def test_when_the_router_is_gone_the_orchestrator_has_new_turns_and_those_that_run_go_on(
    express: Express,
) -> None:
    running = express.ask("wait")
    async with aclosing(aiter(running)) as events:  # type: ignore[type-var] # an async generator
        await anext(events)
        await express.stop_router()
        async with asyncio.timeout(5):
            assert await answer(express.ask("hello", turn="t2")) == "orchestrator"
        for agent in express.agents:
            agent.go_on.set()
        assert [each.event.WhichOneof("event") async for each in events] == ["text_delta", "turn_done"]


async def test_when_the_router_hangs_the_orchestrator_has_the_turn_after_a_moment(express: Express) -> None:
    express.keeper.free.clear()
    began = time.perf_counter()
    assert await answer(express.ask("hello")) == "orchestrator"
    assert ROUTER_LIMIT.total_seconds() * 0.9 < time.perf_counter() - began < 10
    assert express.agent_calls == 0
    express.keeper.free.set()
    assert await answer(express.ask("hello", turn="t2")) in {"one", "two"}


@pytest.mark.parametrize(
    "said",
    [b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n", b"good day\r\n\r\n", b""],
    ids=["errs", "talks nonsense", "hangs up"],
)
async def test_what_answers_in_the_routers_place_and_is_none_leaves_turns_to_the_orchestrator(
    express: Express, said: bytes
) -> None:
    async def answer_wrongly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    await express.stop_router()
    host, _, port = express.router.rpartition(":")
    async with await asyncio.start_server(answer_wrongly, host, int(port)):
        for turn in range(5):
            assert await answer(express.ask("hello", turn=str(turn))) == "orchestrator"


async def test_other_methods_than_invoke_never_see_the_router(express: Express) -> None:
    stub: AgentServiceAsyncStub = agent_service_pb2_grpc.AgentServiceStub(express.mesh.edge)  # type: ignore[assignment]
    await stub.GetAgentCard(agent_service_pb2.GetAgentCardRequest(), timeout=5)
    said = agent_service_pb2.ConverseRequest(sequence=1)
    said.user_text.text = "hello"
    session = stub.Converse(iter([said]), timeout=5)
    assert [each.event.text_delta.text async for each in session] == ["hello"]
    assert express.keeper.asked == 0
    await answer(express.ask("hello"))
    assert express.keeper.asked == 1


async def test_an_agent_that_is_gone_by_the_time_is_told_by_name(express: Express, registry: FakeRegistry) -> None:
    await answer(express.ask("hello"))
    registry.remove(*registry.view.agents[next(iter(registry.view.agents))].instances)
    assert await answer(express.ask("hello", turn="t2")) == "orchestrator"


def typed(*texts: str) -> list[agent_service_pb2.ConverseRequest]:
    said = [agent_service_pb2.ConverseRequest(sequence=number) for number, _ in enumerate(texts, 1)]
    for each, text in zip(said, texts, strict=True):
        each.user_text.text = text
    return said


Session = grpc.aio.StreamStreamCall[Any, Any]


async def heard(call: Session) -> str:
    said = await call.read()
    assert isinstance(said, agent_service_pb2.ConverseResponse)
    return said.event.text_delta.text


def session(express: Express, *said: agent_service_pb2.ConverseRequest, agent: str = "billing") -> Session:
    stub: AgentServiceAsyncStub = agent_service_pb2_grpc.AgentServiceStub(express.mesh.edge)  # type: ignore[assignment]
    return stub.Converse(iter(said) if said else None, metadata=(("x-lmos-agent", agent),), timeout=20)


async def test_a_session_that_names_its_agent_goes_straight_to_it_message_by_message(express: Express) -> None:
    call = session(express)
    for each in typed("hello", "are you", "there"):
        await call.write(each)
        assert await heard(call) == each.user_text.text
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await lane(call) == "express"
    assert (express.mesh.orchestrator.calls, express.agent_calls) == ([], 1)


@pytest.mark.parametrize("kept_waiting", [False, True])
async def test_nothing_of_a_session_is_lost_or_reordered_however_fast_it_is_said(
    express: Express, *, kept_waiting: bool
) -> None:
    texts = [f"{number} {numbered(4_000)}" for number in range(60)]
    for _ in range(5):
        call = session(express, *typed(*texts))
        if kept_waiting:
            await asyncio.sleep(0.05)  # so that much has come by the time the router is heard
        assert [each.event.text_delta.text async for each in call] == texts
        assert await lane(call) == "express"


async def test_a_session_whose_first_message_is_long_in_coming_is_not_given_up(express: Express) -> None:
    call = session(express)
    await asyncio.sleep(
        ROUTER_LIMIT.total_seconds() + 0.5
    )  # the delay is the case: longer than Envoy waits for the router
    [said] = typed("at last")
    await call.write(said)
    assert await heard(call) == "at last"
    assert await lane(call) == "express"
    call.cancel()


@pytest.mark.parametrize("agent", ["nobody", "billing/1.0.0/stable"])
async def test_a_session_that_names_nobody_who_is_there_is_the_orchestrators(express: Express, agent: str) -> None:
    call = session(express, *typed("hello"), agent=agent)
    assert [each.event.text_delta.text async for each in call] == ["hello"]
    assert (await lane(call), express.agent_calls) == ("", 0)


async def test_a_session_is_the_orchestrators_where_the_router_is_gone_and_one_that_runs_goes_on(
    express: Express,
) -> None:
    running = session(express)
    first, second = typed("one", "two")
    await running.write(first)
    assert await heard(running) == "one"
    await express.stop_router()
    call = session(express, *typed(*(numbered(4_000) for _ in range(30))))
    assert [each.event.text_delta.text async for each in call] == [numbered(4_000)] * 30
    assert await lane(call) == ""
    await running.write(second)
    assert await heard(running) == "two"
    running.cancel()
