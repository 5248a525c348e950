"""The router over a real socket, asked as an Envoy asks it: one test per scenario."""

from __future__ import annotations

import asyncio
import struct
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.conversation import MemoryTurnLog
from lmos_grpc.domain.conversation import ConversationState, TurnKey
from lmos_grpc.domain.turn import CallContext, Lane, Message, RouteHint, TurnRequest
from lmos_grpc.errors import EnvironmentFaultError, StoreUnavailableError
from lmos_grpc.express import LaneKeeper, TurnRecorder, serve_router
from lmos_grpc.routing import ExpressLane, Router, RoutingSettings
from lmos_grpc.telemetry import Metrics
from lmos_grpc.wire.turn import turn_to_wire
from tests.fakes.telecom_desk import BILLING, FAULTS, desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from lmos_grpc.clients.live_view import LiveView
    from lmos_grpc.domain.card import AgentCard

BILL = "why is my bill higher than last month"
HEADERS = {"x-lmos-tenant": "acme", "x-lmos-channel": "app"}
TURN = TurnRequest(Message.from_user(BILL), conversation_id="c", turn_id="t")
KEY = TurnKey("acme", "c", "t")
TO_BILLING = {
    "x-lmos-lane": "express",
    "x-lmos-route": "billing-agent/1.0.0/stable",
    "x-lmos-capability": "explain-bill",
    "x-lmos-conversation": "c",
}


def body(turn: TurnRequest = TURN, *, flag: int = 0) -> bytes:
    message = turn_to_wire(turn).SerializeToString()
    return struct.pack(">BI", flag, len(message)) + message


INVOKE = "/lmos.agent.v1.AgentService/Invoke"


def asked(shown: bytes, headers: dict[str, str] = HEADERS, *, path: str = INVOKE) -> bytes:
    """A question as Envoy sends it."""
    said = {"host": "express", "content-length": str(len(shown)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + shown


class EnvoyConnection:
    """The Envoy end of a connection, which is for one question after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            await asyncio.sleep(0)  # so that they come apart

    async def hear(self) -> tuple[str, dict[str, str]]:
        """Status and headers."""
        async with asyncio.timeout(5):
            status, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        assert headers.pop("content-length") == "0"
        return status, headers

    async def is_left(self) -> bool:
        """Whether the router hung up."""
        async with asyncio.timeout(5):
            return not await self._reader.read()

    def leave(self) -> None:
        self._writer.close()


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[EnvoyConnection]:
    host, _, port = address.rpartition(":")
    connection = EnvoyConnection(*await asyncio.open_connection(host, int(port)))
    try:
        yield connection
    finally:
        connection.leave()


class WatchedLog(MemoryTurnLog):
    """Counts how often it is asked, and may be down."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.asked = 0

    async def state_before(self, key: TurnKey) -> ConversationState | None:
        self.asked += 1
        if self.down:
            raise StoreUnavailableError("no log")
        return await super().state_before(key)


@dataclass
class Desk:
    """A router of the express lane, and what it has to do with."""

    address: str
    view: LiveView
    log: WatchedLog
    keeper: LaneKeeper
    metrics: Metrics = field(default_factory=Metrics)

    async def answer(self, turn: TurnRequest = TURN, headers: dict[str, str] = HEADERS) -> dict[str, str]:
        """The headers that the router sets for a turn on its way to the agent."""
        return {name: value for name, value in (await self.told(body(turn), headers)).items() if name[:2] == "x-"}

    async def told(self, shown: bytes, headers: dict[str, str] = HEADERS) -> dict[str, str]:
        """All that the router says to a body."""
        async with connected(self.address) as envoy:
            await envoy.ask(asked(shown, headers))
            status, said = await envoy.hear()
        assert status == "HTTP/1.1 200 OK"
        return said


@asynccontextmanager
async def serving(*cards: AgentCard, opened: ExpressLane = ExpressLane.ON) -> AsyncIterator[Desk]:
    view, log, metrics = desk(*cards), WatchedLog(), Metrics()
    router = Router(view, settings=RoutingSettings(express=opened))
    recorder = TurnRecorder(log, now=lambda: datetime.now(UTC))
    keeper = LaneKeeper(router, view, log, recorder, metrics)
    async with (
        recorder.running(),
        serve_router("127.0.0.1:0", keeper) as bound,
    ):
        yield Desk(bound, view, log, keeper, metrics)


@pytest.fixture
async def router() -> AsyncIterator[Desk]:
    async with serving(BILLING, FAULTS) as running:
        yield running


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(5):
        while not await holds():  # noqa: ASYNC110 # the log sets no event
            await asyncio.sleep(0.005)


async def test_a_turn_of_one_agent_is_sent_to_it_and_the_caller_and_the_trace_are_told_why(router: Desk) -> None:
    assert await router.answer() == TO_BILLING
    told = await router.told(body(replace(TURN, turn_id="t2", conversation_id="c2")))
    assert told["lmos-mode"] == "classified"
    assert 0 < float(told["lmos-score"]) <= 1
    assert told["lmos-why"].endswith("; express lane: one agent, and nothing to do with its stream")


async def test_messages_after_the_first_are_nothing_to_the_router(router: Desk) -> None:
    told = await router.told(body() + body() + b"\x01 more")
    assert told["x-lmos-route"] == TO_BILLING["x-lmos-route"]


async def test_a_question_is_read_in_whatever_pieces_it_comes(router: Desk) -> None:
    whole = asked(body())
    async with connected(router.address) as envoy:
        await envoy.ask(*(whole[at : at + 7] for at in range(0, len(whole), 7)))
        assert (await envoy.hear())[1]["x-lmos-route"] == TO_BILLING["x-lmos-route"]


async def test_questions_on_one_connection_are_answered_in_their_order(router: Desk) -> None:
    turns = [replace(TURN, turn_id=str(number), conversation_id=str(number)) for number in range(5)]
    async with connected(router.address) as envoy:
        await envoy.ask(b"".join(asked(body(each)) for each in turns))
        assert [(await envoy.hear())[1]["x-lmos-conversation"] for _ in turns] == [each.turn_id for each in turns]


async def test_an_envoy_that_goes_in_the_middle_of_a_question_is_let_go(router: Desk) -> None:
    async with connected(router.address) as envoy:
        await envoy.ask(asked(body())[:-3])
    assert await router.answer() == TO_BILLING


async def test_the_router_says_that_it_is_well(router: Desk) -> None:
    async with connected(router.address) as envoy:
        await envoy.ask(b"GET /health HTTP/1.1\r\nhost: express\r\n\r\n")
        assert await envoy.hear() == ("HTTP/1.1 200 OK", {})


@pytest.mark.parametrize(
    "sent",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"hello\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"x" * 70_000,
    ],
    ids=["HTTP/2", "no HTTP", "no length", "too long", "chunks", "endless"],
)
async def test_what_no_envoy_sends_is_refused_and_harms_nobody_else(router: Desk, sent: bytes) -> None:
    async with connected(router.address) as envoy:
        await envoy.ask(sent)
        status, headers = await envoy.hear()
        assert (status, headers) == ("HTTP/1.1 500 Internal Server Error", {"connection": "close"})
        assert await envoy.is_left()
    assert await router.answer() == TO_BILLING


async def test_a_router_that_ends_lets_its_connections_go() -> None:
    async with AsyncExitStack() as stack:
        router = await stack.enter_async_context(serving(BILLING))
        envoy = await (outer := AsyncExitStack()).enter_async_context(connected(router.address))
        await envoy.ask(asked(body()))
        await envoy.hear()
        await stack.aclose()
        assert await envoy.is_left()
        await outer.aclose()


async def test_an_address_that_is_taken_is_told(router: Desk) -> None:
    with pytest.raises(EnvironmentFaultError, match=router.address):
        async with serve_router(router.address, router.keeper):
            pass


@pytest.mark.parametrize(
    "sent",
    [
        body(flag=1),
        body(flag=7),
        struct.pack(">BI", 0, 3) + b"\xff\xff\xff",
        struct.pack(">BI", 0, 100) + b"cut off",
        b"",
    ],
    ids=["compressed", "no gRPC", "no message", "cut off", "nothing"],
)
async def test_what_the_router_cannot_read_is_left_to_the_orchestrator(router: Desk, sent: bytes) -> None:
    assert await router.told(sent) == {}


@pytest.mark.parametrize(
    "turn",
    [
        replace(TURN, hint=RouteHint(agent="nobody")),
        replace(TURN, hint=RouteHint(lane=Lane.MANAGED)),
        replace(TURN, turn_id=""),
        replace(TURN, conversation_id=""),
        replace(TURN, message=Message.from_user(" ")),
        replace(TURN, message=Message.from_user("blue cheese on the moon")),
        replace(TURN, turn_id="x" * 500),
    ],
    ids=["unknown agent", "managed", "no turn id", "no conversation", "empty", "fits nobody", "long id"],
)
async def test_what_is_not_for_the_express_lane_is_left_to_the_orchestrator(router: Desk, turn: TurnRequest) -> None:
    assert await router.answer(turn) == {}


async def test_tenant_and_channel_count_on_the_express_lane_too() -> None:
    async with serving(replace(BILLING, tenants=frozenset({"acme"}))) as router:
        assert await router.answer() == TO_BILLING
        other = {"x-lmos-tenant": "other"}
        assert await router.answer(replace(TURN, turn_id="t2"), other) == {}


async def test_a_turn_that_comes_again_goes_where_it_went_whatever_the_router_thinks_by_now(router: Desk) -> None:
    assert await router.answer() == TO_BILLING
    again = replace(TURN, message=Message.from_user("my internet is down"))
    assert await router.answer(again) == TO_BILLING  # where the agent refuses it: one turn id is one turn
    assert router.log.asked == 1


async def test_a_turn_that_the_log_knows_is_left_to_the_orchestrator(router: Desk) -> None:
    await router.log.begin(KEY, replace(TURN, context=CallContext("acme", "app")))
    assert await router.answer() == {}


async def test_without_a_log_every_turn_is_left_to_the_orchestrator(router: Desk) -> None:
    router.log.down = True
    assert await router.answer() == {}


async def test_each_turn_is_recorded_once_so_that_the_next_is_decided_in_its_light(router: Desk) -> None:
    await router.answer()

    async def recorded() -> bool:
        return await router.log.state_before(KEY) is None

    await until(recorded)
    [turn] = (await router.log.list_turns("acme", "c", 10)).turns
    assert (turn.request.text, turn.responses[0].agent) == (BILL, "billing-agent")
    assert await router.log.state("acme", "c") == ConversationState("billing-agent", "explain-bill", None, 1)
    sticky = replace(TURN, turn_id="t2", message=Message.from_user("and why?"), hint=RouteHint(lane=Lane.EXPRESS))
    assert (await router.answer(sticky))["x-lmos-route"] == TO_BILLING["x-lmos-route"]


async def test_the_next_turn_knows_of_a_turn_that_is_not_written_yet(router: Desk) -> None:
    await router.answer()
    sticky = replace(TURN, turn_id="t2", message=Message.from_user("and why?"), hint=RouteHint(lane=Lane.EXPRESS))
    assert (await router.answer(sticky))["x-lmos-route"] == TO_BILLING["x-lmos-route"]


async def test_a_turn_that_the_orchestrator_has_after_all_is_not_in_its_way(router: Desk) -> None:
    await router.answer()  # too late for Envoy, which has given the turn to the orchestrator
    assert (await router.log.begin(KEY, replace(TURN, context=CallContext("acme", "app")))).is_new


async def test_an_agent_that_records_its_own_turns_is_left_to_do_so() -> None:
    async with serving(replace(BILLING, records_turns=True)) as router:
        assert await router.answer() == TO_BILLING
    assert await router.log.state("acme", "c") == ConversationState()


async def test_a_decision_is_counted_with_its_lane(router: Desk) -> None:
    await router.answer()
    labels = {"mode": "classified", "lane": "express"}
    assert router.metrics.registry.get_sample_value("lmos_routing_decision_seconds_count", labels) == 1


@pytest.mark.parametrize(
    ("asked", "expected"), [(Lane.UNSPECIFIED, {}), (Lane.EXPRESS, TO_BILLING), (Lane.MANAGED, {})]
)
async def test_where_the_lane_is_for_those_who_ask_only_they_get_it(asked: Lane, expected: dict[str, str]) -> None:
    async with serving(BILLING, opened=ExpressLane.ASKED) as router:
        assert await router.answer(replace(TURN, hint=RouteHint(lane=asked))) == expected


async def test_a_decision_that_breaks_leaves_the_turn_to_the_orchestrator_and_the_router_goes_on(
    router: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_key: TurnKey) -> ConversationState | None:
        raise LookupError("a defect")

    with monkeypatch.context() as patched:
        patched.setattr(router.log, "state_before", broken)
        async with connected(router.address) as envoy:
            await envoy.ask(asked(body()))
            assert await envoy.is_left()
    assert "a decision of the express lane failed" in caplog.text
    assert await router.answer() == TO_BILLING


async def test_a_session_is_sent_to_the_agent_that_its_caller_named_if_that_holds_sessions() -> None:
    session = {"path": "/lmos.agent.v1.AgentService/Converse"}
    for card, named, expected in (
        (replace(BILLING, converses=True), "billing-agent", TO_BILLING["x-lmos-route"]),
        (replace(BILLING, converses=True), "", None),
        (replace(BILLING, converses=True, tenants=frozenset({"other"})), "billing-agent", None),
        (BILLING, "billing-agent", None),
    ):
        async with serving(card) as router, connected(router.address) as envoy:
            await envoy.ask(asked(b"", {**HEADERS, "x-lmos-agent": named}, **session))
            assert (await envoy.hear())[1].get("x-lmos-route") == expected
