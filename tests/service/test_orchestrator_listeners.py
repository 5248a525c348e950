"""The orchestrator and an agent that listens and was written from the contract alone, over real gRPC."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from lmos.agent.v1 import agent_event_pb2 as event_pb
from lmos.agent.v1 import agent_service_pb2 as pb
from lmos.agent.v1 import live_session_pb2 as live_pb
from lmos.agent.v1.agent_service_pb2_grpc import AgentServiceServicer, add_AgentServiceServicer_to_server
from lmos.error.v1 import error_pb2

from lmos_grpc.agent_service import AGENT_SERVICE, LiveSessions, TurnExecutor, add_agent_service
from lmos_grpc.clients.live_view import LiveView
from lmos_grpc.conversation import MemoryTurnLog
from lmos_grpc.domain.card import AgentCard, Capability
from lmos_grpc.domain.instance import Instance, Lease
from lmos_grpc.domain.turn import Lane
from lmos_grpc.orchestrator import Orchestrator
from lmos_grpc.routing import LaneChoice
from lmos_grpc.rpc import serve
from lmos_grpc.wire.json_struct import struct_of
from tests.fakes.live_caller import LIMIT, live_caller, text_of
from tests.fakes.scripted_agent import direct_caller, whole_registry
from tests.fakes.scripted_mesh import decided

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from lmos_grpc.domain.conversation import ConversationState
    from lmos_grpc.domain.decision import Decision
    from lmos_grpc.domain.turn import TurnRequest
    from tests.fakes.live_caller import LiveCaller

    Context = grpc.aio.ServicerContext[Any, Any]

ROUTE = "raw/1.0.0/stable"
EVERYTHING = (
    {"transcript": live_pb.Transcript(text="hello", is_final=True)},
    {"boundary": live_pb.Boundary(kind=live_pb.BOUNDARY_KIND_END_OF_INPUT)},
    {"prompt": live_pb.Prompt(id="p", uri="https://example.com/jingle.wav", display="♪", last=True)},
    {"prompt": live_pb.Prompt(id="q", audio=b"\x00\x01", last=True)},
    {"hold": live_pb.Hold(on=True)},
    {"custom": live_pb.Custom(name="com.example.survey")},
    {"recording": live_pb.Recording(paused=True)},
    {"tool_call": event_pb.ToolCall(id="c", name="look-up", state=event_pb.TOOL_CALL_STATE_REQUESTED)},
    {"transfer": live_pb.Transfer(target="+4930123", context=struct_of({"ticket": "T-1"}))},
    {"session_ended": live_pb.SessionEnded(reason=live_pb.END_REASON_DONE, output=struct_of({"stars": 5}))},
)


@dataclass
class RawListener(AgentServiceServicer):
    """Answers each turn as the test says; remembers every input."""

    script: Callable[[RawListener, pb.InvokeRequest], Awaitable[None]]
    keepalive_ms: int = 20_000
    inputs: list[pb.ConverseRequest] = field(default_factory=list)
    sessions: int = 0
    invoked: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    _out: Any = None  # Any: grpc's contexts are generic
    _number: int = 0

    async def GetAgentCard(self, request: pb.GetAgentCardRequest, context: Context) -> pb.GetAgentCardResponse:  # noqa: N802, ARG002 # gRPC's
        return pb.GetAgentCardResponse()

    async def Converse(  # type: ignore[override]  # noqa: N802 # gRPC's name; it writes to the context and yields nothing
        self, requests: AsyncIterator[pb.ConverseRequest], context: Context
    ) -> None:
        self.sessions, self._out, self._number = self.sessions + 1, context, 0
        self.over.clear()
        try:
            async for request in requests:
                self.inputs.append(request)
                self.came.set()
                if request.WhichOneof("input") == "start":
                    ready = live_pb.SessionReady(session_id="s")
                    ready.keepalive.FromMilliseconds(self.keepalive_ms)
                    await self.say("", session_ready=ready)
                elif request.WhichOneof("input") == "turn":
                    await self.script(self, request.turn)
                elif request.WhichOneof("input") == "cancel":
                    await self.say(
                        request.cancel.turn_id, turn_done=event_pb.TurnDone(outcome=event_pb.OUTCOME_CANCELLED)
                    )
                elif request.WhichOneof("input") == "end":
                    return
        finally:
            self.over.set()

    async def Invoke(self, request: pb.InvokeRequest, context: Context) -> AsyncIterator[pb.InvokeResponse]:  # noqa: N802, ARG002 # gRPC's
        self.invoked += 1
        for number, body in enumerate((event_pb.Accepted(), event_pb.TurnDone(outcome=event_pb.OUTCOME_COMPLETED)), 1):
            name = "accepted" if number == 1 else "turn_done"
            member: dict[str, Any] = {name: body}
            yield pb.InvokeResponse(event=event_pb.AgentEvent(sequence=number, turn_id=request.turn_id, **member))

    async def say(self, turn: str, **member: Any) -> None:  # Any: one member of the oneof
        self._number += 1
        event = event_pb.AgentEvent(sequence=self._number, turn_id=turn, **member)
        await self._out.write(pb.ConverseResponse(event=event))

    async def answer(self, turn: str, *members: dict[str, Any]) -> None:
        await self.say(turn, accepted=event_pb.Accepted())
        for member in members:
            await self.say(turn, **member)

    async def end(self, turn: str) -> None:
        await self.say(turn, turn_done=event_pb.TurnDone(outcome=event_pb.OUTCOME_COMPLETED))

    async def abort(self) -> None:
        await self._out.abort(grpc.StatusCode.UNAVAILABLE, "gone")

    async def has(self, kind: str) -> pb.ConverseRequest:
        async with asyncio.timeout(LIMIT):
            while not (found := [each for each in self.inputs if each.WhichOneof("input") == kind]):
                self.came.clear()
                await self.came.wait()
        return found[-1]


class Always:
    """Gives every turn to the same agents."""

    def __init__(self, *names: str) -> None:
        self._decision = decided(*names)

    def decide(self, _turn: TurnRequest, _state: ConversationState, /) -> Decision:
        return self._decision

    async def consult(self, _turn: TurnRequest, decision: Decision, _state: ConversationState, /) -> Decision:
        return decision

    def lane(self, *_: object) -> LaneChoice:
        return LaneChoice(Lane.MANAGED)

    def why_not(self, *_: object) -> tuple[()]:
        return ()


@asynccontextmanager
async def call_to(raw: RawListener, *, converses: bool = True) -> AsyncIterator[LiveCaller]:
    """A started call to an orchestrator in front of the agent."""
    capability = Capability("greet", "1.0.0")
    card = AgentCard("raw", "1.0.0", capabilities=(capability,), converses=converses, listens=True)
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(
            serve(
                "127.0.0.1:0",
                register=lambda server: add_AgentServiceServicer_to_server(raw, server),
                services=[AGENT_SERVICE],
            )
        )
        view, log = LiveView(), MemoryTurnLog()
        view.apply(whole_registry(Instance("raw-1", served.address, card, Lease("raw-1", 1))))
        caller = await stack.enter_async_context(direct_caller({ROUTE: served.address}))
        orchestrator = Orchestrator(Always("raw"), view, log, caller)
        executor = TurnExecutor(orchestrator, log, await stack.enter_async_context(asyncio.TaskGroup()))
        listeners = await stack.enter_async_context(orchestrator.listeners)
        sessions = await stack.enter_async_context(LiveSessions(executor, audience=listeners))
        server = await stack.enter_async_context(
            serve(
                "127.0.0.1:0",
                register=lambda server: add_agent_service(server, executor, sessions, orchestrator.card),
                services=[AGENT_SERVICE],
            )
        )
        on = await stack.enter_async_context(live_caller(server.address))
        await on.start(conversation_id="call-1", locale="de", user_id="u")
        yield on


async def greet(raw: RawListener, turn: pb.InvokeRequest) -> None:
    await raw.answer(turn.turn_id, {"text_delta": event_pb.TextDelta(text=f"hello {turn.message.parts[0].text}")})
    await raw.end(turn.turn_id)


async def test_a_session_of_the_agent_carries_the_turns_of_the_callers_session_in_full() -> None:
    raw = RawListener(greet)
    async with call_to(raw) as caller:
        assert text_of(await caller.ask("one", "t1")) == "hello one"
        assert text_of(await caller.ask("two", "t2")) == "hello two"
        start, first, second = raw.inputs
        assert (start.start.conversation_id, start.start.locale, start.start.user_id) == ("call-1", "de", "u")
        assert (first.turn.turn_id, first.turn.route_hint.capability) == ("t1", "greet")
        assert [each.parts[0].text for each in second.turn.history] == ["one", "hello one"]
        assert second.turn.live.session_id == caller.ready.session_id
        assert [each.sequence for each in raw.inputs] == [1, 2, 3]
    await asyncio.wait_for(raw.over.wait(), LIMIT)
    assert raw.invoked == 0


async def test_every_event_that_an_agent_can_say_reaches_the_caller_as_it_was_said() -> None:
    async def everything(raw: RawListener, turn: pb.InvokeRequest) -> None:
        await raw.answer(turn.turn_id, *EVERYTHING)
        await raw.end(turn.turn_id)

    async with call_to(RawListener(everything)) as caller:
        heard = await caller.ask("all", "t1")
        said = [{each.WhichOneof("event"): getattr(each, each.WhichOneof("event") or "")} for each in heard[2:-1]]
        assert said == list(EVERYTHING)


async def test_a_refusal_of_the_agent_fails_the_turn_and_the_session_of_both_goes_on() -> None:
    async def refuses(raw: RawListener, turn: pb.InvokeRequest) -> None:
        if turn.turn_id == "t2":
            await greet(raw, turn)
            return
        error = error_pb2.Error(code=8, reason=error_pb2.ERROR_REASON_QUOTA_EXCEEDED, message="too many")
        await raw.say(turn.turn_id, error=error)
        await raw.say(turn.turn_id, turn_done=event_pb.TurnDone(outcome=event_pb.OUTCOME_FAILED))

    raw = RawListener(refuses)
    async with call_to(raw) as caller:
        refused = await caller.ask("one", "t1")
        assert refused[-1].turn_done.outcome == event_pb.OUTCOME_FAILED
        assert "too many" in refused[-2].error.message
        assert text_of(await caller.ask("two", "t2")) == "hello two"
        assert raw.sessions == 1


@pytest.mark.parametrize("after_accepted", [False, True])
async def test_an_agent_that_breaks_its_session_fails_the_turn_and_the_next_turn_has_a_new_one(
    *, after_accepted: bool
) -> None:
    async def breaks(raw: RawListener, turn: pb.InvokeRequest) -> None:
        if turn.turn_id == "t2":
            await greet(raw, turn)
            return
        if after_accepted:
            await raw.answer(turn.turn_id, {"text_delta": event_pb.TextDelta(text="hel")})
        await raw.abort()

    raw = RawListener(breaks)
    async with call_to(raw) as caller:
        broken = await caller.ask("one", "t1")
        assert broken[-1].turn_done.outcome == event_pb.OUTCOME_FAILED
        assert text_of(await caller.ask("two", "t2")) == "hello two"
        assert raw.sessions == 2


async def test_an_agent_that_goes_away_has_no_more_turns_in_that_session() -> None:
    async def leaves(raw: RawListener, turn: pb.InvokeRequest) -> None:
        if raw.sessions == 1:
            await raw.say("", go_away=live_pb.GoAway())
        await greet(raw, turn)

    raw = RawListener(leaves)
    async with call_to(raw) as caller:
        assert text_of(await caller.ask("one", "t1")) == "hello one"
        assert text_of(await caller.ask("two", "t2")) == "hello two"
        assert raw.sessions == 2


async def test_a_cancel_reaches_the_agent_once_with_what_was_heard_and_output_after_it_goes_nowhere() -> None:
    async def talks(raw: RawListener, turn: pb.InvokeRequest) -> None:
        await raw.answer(turn.turn_id, {"text_delta": event_pb.TextDelta(text="blah")})

    raw = RawListener(talks)
    async with call_to(raw) as caller:
        await caller.text("go", "t1")
        await caller.hear_until("text_delta")
        await caller.say(cancel=live_pb.Cancel(turn_id="t1", heard_text="bl"))
        assert (await caller.hear()).turn_done.outcome == event_pb.OUTCOME_CANCELLED
        assert (await raw.has("cancel")).cancel.heard_text == "bl"
        await raw.say("t1", text_delta=event_pb.TextDelta(text="stale"))
        await caller.say(ping=live_pb.Ping(id=7))
        assert (await caller.hear()).pong.id == 7
        await caller.text("on", "t2")
        assert {each.turn_id for each in await caller.hear_until("text_delta")} == {"t2"}
        assert len([each for each in raw.inputs if each.WhichOneof("input") == "cancel"]) == 1


async def test_an_agent_is_pinged_as_often_as_it_wants() -> None:
    raw = RawListener(greet, keepalive_ms=100)
    async with call_to(raw) as caller:
        await caller.ask("one", "t1")
        async with asyncio.timeout(LIMIT):
            while (await raw.has("ping")).ping.id < 3:
                raw.came.clear()
                await raw.came.wait()
        assert text_of(await caller.ask("two", "t2")) == "hello two"


async def test_partial_text_reaches_only_an_agent_that_wants_it() -> None:
    raw = RawListener(greet)
    async with call_to(raw, converses=False) as caller:
        await caller.ask("one", "t1")
        await caller.say(user_text=live_pb.UserText(text="par"))
        await caller.ask("two", "t2")
        assert (raw.sessions, raw.invoked) == (0, 2)
    raw = RawListener(greet)
    async with call_to(raw) as caller:
        await caller.ask("one", "t1")
        await caller.say(user_text=live_pb.UserText(text="par"))
        partial = (await raw.has("user_text")).user_text
        assert (partial.text, partial.is_final) == ("par", False)


async def test_an_agent_waits_while_the_caller_is_slow_and_a_cancel_still_reaches_it() -> None:
    written, stopped = 0, asyncio.Event()

    async def floods(raw: RawListener, turn: pb.InvokeRequest) -> None:
        async def flood() -> None:
            nonlocal written
            await raw.answer(turn.turn_id)
            while not stopped.is_set():
                await raw.say(turn.turn_id, text_delta=event_pb.TextDelta(text="x" * 8192))
                written += 1

        tasks.append(asyncio.create_task(flood()))

    tasks: list[asyncio.Task[None]] = []
    raw = RawListener(floods)
    async with call_to(raw) as caller:
        await caller.text("go", "t1")
        before = -1
        async with asyncio.timeout(LIMIT):
            while written != before or not written:  # until it writes no more
                before = written
                await asyncio.sleep(0.2)
        assert written < 2_000
        await caller.say(cancel=live_pb.Cancel(turn_id="t1"))
        await raw.has("cancel")
        stopped.set()
        heard = await caller.hear_until("turn_done")
        assert heard[-1].turn_done.outcome == event_pb.OUTCOME_CANCELLED
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), LIMIT)
