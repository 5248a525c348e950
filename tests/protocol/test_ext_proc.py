"""The ext_proc protocol over a real stream, as an Envoy speaks it: one test per scenario."""

from __future__ import annotations

import asyncio
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import grpc.aio
import pytest

from lmos_grpc.conversation import MemoryTurnLog
from lmos_grpc.domain.conversation import ConversationState, TurnKey
from lmos_grpc.domain.turn import CallContext, Lane, Message, RouteHint, TurnRequest
from lmos_grpc.errors import StoreUnavailableError
from lmos_grpc.express import ExpressService, LaneKeeper, TurnRecorder
from lmos_grpc.express.wire import (
    EXT_PROC_METHOD,
    GoOn,
    RequestBody,
    RequestHeaders,
    Seen,
    read_response,
    write_request,
)
from lmos_grpc.routing import ExpressLane, Router, RoutingSettings
from lmos_grpc.rpc import serve
from lmos_grpc.telemetry import Metrics
from lmos_grpc.wire.turn import turn_to_wire
from tests.fakes.telecom_desk import BILLING, FAULTS, desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from lmos_grpc.clients.live_view import LiveView
    from lmos_grpc.domain.card import AgentCard

BILL = "why is my bill higher than last month"
HEADERS = RequestHeaders((("x-lmos-tenant", "acme"), ("x-lmos-channel", "app")))
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


class EnvoyStream:
    """The Envoy end of a stream, which is for one call."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        method = "/{}/{}".format(*EXT_PROC_METHOD)
        self._call = channel.stream_stream(
            method, request_serializer=write_request, response_deserializer=read_response
        )()

    async def shows(self, *heard: RequestHeaders | RequestBody) -> None:
        for each in heard:
            await self._call.write(each)

    async def hears(self) -> GoOn | Seen:
        async with asyncio.timeout(5):
            said = await self._call.read()
        assert isinstance(said, GoOn | Seen)
        return said

    async def answer(self, shown: bytes, headers: RequestHeaders = HEADERS) -> dict[str, str]:
        """The headers that the router sets for a call; then it hung up."""
        await self.shows(headers)
        assert await self.hears() == Seen()
        await self.shows(RequestBody(shown))
        said = await self.hears()
        assert isinstance(said, GoOn)
        assert await self.is_left()
        return dict(said.headers)

    async def ends(self) -> None:
        await self._call.done_writing()

    async def is_left(self) -> bool:
        """Whether the router hung up, and well."""
        async with asyncio.timeout(5):
            assert await self._call.read() is grpc.aio.EOF
            return await self._call.code() is grpc.StatusCode.OK


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

    channel: grpc.aio.Channel
    view: LiveView
    log: WatchedLog
    metrics: Metrics = field(default_factory=Metrics)

    async def answer(self, turn: TurnRequest = TURN, headers: RequestHeaders = HEADERS) -> dict[str, str]:
        """The headers that the router sets for a turn."""
        return await EnvoyStream(self.channel).answer(body(turn), headers)


@asynccontextmanager
async def serving(*cards: AgentCard, opened: ExpressLane = ExpressLane.ON) -> AsyncIterator[Desk]:
    view, log, metrics = desk(*cards), WatchedLog(), Metrics()
    router = Router(view, settings=RoutingSettings(express=opened))
    recorder = TurnRecorder(log, now=lambda: datetime.now(UTC))
    keeper = LaneKeeper(router, view, log, recorder, metrics)
    async with (
        recorder.running(),
        serve("127.0.0.1:0", register=ExpressService(keeper).add_to_server, services=[]) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        yield Desk(channel, view, log, metrics)


@pytest.fixture
async def router() -> AsyncIterator[Desk]:
    async with serving(BILLING, FAULTS) as running:
        yield running


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(5):
        while not await holds():  # noqa: ASYNC110 # the log sets no event
            await asyncio.sleep(0.005)


async def test_a_turn_of_one_agent_is_sent_to_it_and_the_router_hangs_up(router: Desk) -> None:
    assert await router.answer() == TO_BILLING


async def test_messages_after_the_first_are_nothing_to_the_router(router: Desk) -> None:
    assert await EnvoyStream(router.channel).answer(body() + body() + b"\x01 more") == TO_BILLING


async def test_an_envoy_that_goes_before_the_body_is_there_is_let_go(router: Desk) -> None:
    stream = EnvoyStream(router.channel)
    await stream.shows(HEADERS)
    assert await stream.hears() == Seen()
    await stream.ends()
    assert await stream.is_left()


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
    assert await EnvoyStream(router.channel).answer(sent) == {}


async def test_a_request_without_a_body_is_left_to_the_orchestrator(router: Desk) -> None:
    stream = EnvoyStream(router.channel)
    await stream.shows(replace(HEADERS, last=True))
    assert await stream.hears() == Seen()
    assert await stream.is_left()


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
        other = RequestHeaders((("x-lmos-tenant", "other"),))
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
