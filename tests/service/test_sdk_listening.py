"""An agent that stays with a live session and listens, over real gRPC."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import json_format
from lmos.agent.v1 import agent_event_pb2 as event_pb
from lmos.agent.v1 import agent_service_pb2 as service_pb
from lmos.agent.v1 import live_session_pb2 as live_pb
from lmos.agent.v1 import message_pb2

from lmos_grpc import (
    Agent,
    AgentSettings,
    CancelRequest,
    Custom,
    KeysPressed,
    PlaybackReport,
    SessionUpdate,
    Signal,
    ToolCallState,
    ToolResult,
    UserText,
    serve_agent,
)
from lmos_grpc.clients.agent_client import AgentClient
from lmos_grpc.domain.event import TextDelta
from lmos_grpc.domain.turn import Message, TurnRequest
from lmos_grpc.rpc import open_channel
from tests.fakes.live_caller import LIMIT, live_caller, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from lmos_grpc import CallerInput, EventBody, Turn
    from tests.fakes.live_caller import LiveCaller

    Function = Callable[[Turn], AsyncIterator[str | EventBody]]


def agent_of(function: Function, *, listens: bool = True) -> Agent:
    agent = Agent("listener", version="1.0.0", listens=listens)
    agent.capability("listen", version="1.0.0")(function)
    return agent


@asynccontextmanager
async def call_to(function: Function, *, listens: bool = True) -> AsyncIterator[LiveCaller]:
    agent = agent_of(function, listens=listens)
    async with serve_agent(agent, AgentSettings(mesh=None)) as served, live_caller(served.address) as caller:
        await caller.start(conversation_id="c", locale="en")
        yield caller


class Ear:
    """A capability that answers what asks for it, and remembers all that it heard."""

    def __init__(self) -> None:
        self.heard: list[CallerInput] = []
        self.calls = 0
        self.over = asyncio.Event()
        self.came = asyncio.Event()

    async def listen(self, turn: Turn) -> AsyncIterator[str | EventBody]:
        self.calls += 1
        async for given in turn.inputs():
            self.heard.append(given)
            self.came.set()
            match given:
                case UserText(is_final=True) | KeysPressed(complete=True):
                    yield f"{len(self.heard)}: {turn.text} in {turn.turn_id}"
        self.over.set()

    async def has_heard(self, kind: type) -> CallerInput:
        async with asyncio.timeout(LIMIT):
            while not (found := [each for each in self.heard if isinstance(each, kind)]):
                self.came.clear()
                await self.came.wait()
        return found[-1]


async def test_a_function_stays_with_the_session_and_hears_all_that_the_caller_does() -> None:
    ear = Ear()
    async with call_to(ear.listen) as caller:
        said = live_pb.UserText(text="hello", is_final=True, turn_id="t1", confidence=0.75, locale="de")
        said.speech_end.FromMilliseconds(1500)
        await caller.say(user_text=said)
        assert text_of(await caller.hear_until("turn_done")) == "1: hello in t1"
        await caller.say(
            playback=live_pb.Playback(state=live_pb.PLAYBACK_STATE_MARK, turn_id="t1", prompt_id="p", heard_text="1")
        )
        await caller.say(signal=live_pb.Signal(kind=live_pb.SIGNAL_KIND_NO_INPUT, count=2))
        await caller.say(user_text=live_pb.UserText(text="how"))
        await ear.has_heard(Signal)
        await caller.say(dtmf=live_pb.Dtmf(digits="4"))
        await caller.say(update=live_pb.SessionUpdate(locale="fr"))
        await caller.say(custom=live_pb.Custom(name="com.example.mood"))
        await caller.say(dtmf=live_pb.Dtmf(digits="47", complete=True, turn_id="t2"))
        assert text_of(await caller.hear_until("turn_done")).endswith(": 47 in t2")
        await caller.say(end=live_pb.SessionEnd())
        await asyncio.wait_for(ear.over.wait(), LIMIT)
    kinds = [type(each) for each in ear.heard]
    assert kinds == [UserText, PlaybackReport, Signal, UserText, KeysPressed, SessionUpdate, Custom, KeysPressed]
    first = ear.heard[0]
    assert isinstance(first, UserText)
    assert (first.text, first.confidence, first.locale, first.turn_id) == ("hello", 0.75, "de", "t1")
    assert first.speech_end is not None
    assert first.speech_end.total_seconds() == 1.5
    assert ear.calls == 1


async def interruptible(turn: Turn) -> AsyncIterator[str | EventBody]:
    async for given in turn.inputs():
        match given:
            case UserText(is_final=True, text="count"):
                async with turn.interruptible():
                    yield "one two three"
                    await asyncio.Event().wait()
                yield "this comes too late"
            case CancelRequest(heard_text=heard, cause=cause):
                remembered = f"{cause.value}, heard {heard!r}"
            case UserText(is_final=True):
                yield remembered


async def test_an_interruption_ends_the_block_that_it_hits_and_the_function_hears_of_it() -> None:
    async with call_to(interruptible) as caller:
        await caller.text("count", "t1")
        await caller.hear_until("text_delta")
        await caller.say(cancel=live_pb.Cancel(turn_id="t1", cause=live_pb.CANCEL_CAUSE_BARGE_IN, heard_text="one two"))
        assert (await caller.hear()).turn_done.outcome == event_pb.OUTCOME_CANCELLED
        assert text_of(await caller.ask("what did I hear", "t2")) == "barge-in, heard 'one two'"
        await caller.text("count", "t3")
        await caller.hear_until("text_delta")
        await caller.text("and now", "t4")
        ended = await caller.hear()
        assert (ended.turn_id, ended.turn_done.outcome) == ("t3", event_pb.OUTCOME_INTERRUPTED)
        assert text_of(await caller.hear_until("turn_done")) == "new input, heard ''"


async def test_outside_of_such_a_block_an_interruption_ends_the_function_and_the_next_turn_calls_it_again() -> None:
    calls, ended = 0, asyncio.Event()

    async def plain(turn: Turn) -> AsyncIterator[str]:
        nonlocal calls
        calls += 1
        async for _ in turn.inputs():
            yield f"call {calls}"
            if calls == 1:
                try:
                    await asyncio.Event().wait()
                finally:
                    ended.set()

    async with call_to(plain) as caller:
        await caller.text("go", "t1")
        await caller.hear_until("text_delta")
        await caller.text("again", "t2")
        assert (await caller.hear()).turn_done.outcome == event_pb.OUTCOME_INTERRUPTED
        assert text_of(await caller.hear_until("turn_done")) == "call 2"
        assert ended.is_set()
        assert text_of(await caller.ask("once more")) == "call 2"


async def test_a_block_that_waits_for_a_slow_caller_is_interrupted_at_its_yield() -> None:
    stopped = asyncio.Event()

    async def endless(turn: Turn) -> AsyncIterator[str]:
        async for given in turn.inputs():
            if isinstance(given, UserText) and given.text == "go":
                async with turn.interruptible():
                    try:
                        while True:
                            yield "x" * 4096
                    finally:
                        stopped.set()
            elif isinstance(given, UserText):
                yield "done"

    async with call_to(endless) as caller:
        await caller.text("go", "t1")
        await caller.hear_until("text_delta")
        await caller.say(cancel=live_pb.Cancel(turn_id="t1"))
        await asyncio.wait_for(stopped.wait(), LIMIT)
        last = (await caller.hear_until("turn_done"))[-1]
        assert last.turn_done.outcome == event_pb.OUTCOME_CANCELLED
        assert text_of(await caller.ask("and")) == "done"


async def test_what_is_said_to_partial_text_waits_for_the_turn_that_it_leads_to() -> None:
    said = asyncio.Event()

    async def eager(turn: Turn) -> AsyncIterator[str | EventBody]:
        async for given in turn.inputs():
            if isinstance(given, UserText) and not given.is_final:
                said.set()
                yield turn.filler(f"You say {given.text} …")
            elif isinstance(given, UserText):
                yield f"I see: {given.text}."

    async with call_to(eager) as caller:
        await caller.ask("hello", "t1")
        await caller.say(user_text=live_pb.UserText(text="my bill"))
        await asyncio.wait_for(said.wait(), LIMIT)
        heard = await caller.ask("my bill is high", "t2")
        assert [each.WhichOneof("event") for each in heard] == [
            *("accepted", "prompt", "text_delta", "message", "turn_done")
        ]
        assert heard[1].prompt.text == "You say my bill …"
        assert {each.turn_id for each in heard} == {"t2"}


async def test_a_tool_that_the_caller_runs_keeps_the_turn_open_until_its_result_is_there() -> None:
    async def asks(turn: Turn) -> AsyncIterator[str | EventBody]:
        async for given in turn.inputs():
            match given:
                case UserText(is_final=True):
                    yield turn.tool_call("look-up", ToolCallState.REQUESTED, id="l1", arguments={"name": "Anna"})
                case ToolResult("l1", result, ""):
                    yield f"The balance is {result['balance']:.0f}."
                case ToolResult(error=error):
                    yield f"It failed: {error}."

    async with call_to(asks) as caller:
        await caller.text("my balance", "t1")
        asked = (await caller.hear_until("tool_call"))[-1].tool_call
        assert asked.state == event_pb.TOOL_CALL_STATE_REQUESTED
        result = live_pb.ToolResult(id=asked.id)
        json_format.ParseDict({"balance": 42}, result.result)
        await caller.say(tool_result=result)
        heard = await caller.hear_until("turn_done")
        assert text_of(heard) == "The balance is 42."
        assert heard[-1].turn_id == "t1"
        await caller.text("again", "t2")
        await caller.hear_until("tool_call")
        await caller.say(tool_result=live_pb.ToolResult(id="l1", error="no such person"))
        assert text_of(await caller.hear_until("turn_done")) == "It failed: no such person."


@pytest.mark.parametrize("member", ["tool_result", "custom"])
async def test_what_only_a_listener_takes_is_refused_in_band_where_nobody_listens(member: str) -> None:
    ear = Ear()
    async with call_to(ear.listen, listens=False) as caller:
        await caller.ask("hello")
        given = {"tool_result": live_pb.ToolResult(id="x"), "custom": live_pb.Custom(name="com.example.x")}
        say: Any = caller.say  # Any: one member of the oneof
        await say(**{member: given[member]})
        refused = await caller.hear()
        assert refused.error.metadata["input"] == member
        assert text_of(await caller.ask("still there", "t2")) == "2: still there in t2"


async def test_an_agent_that_does_not_listen_gets_one_input_for_each_turn() -> None:
    ear = Ear()
    async with call_to(ear.listen, listens=False) as caller:
        await caller.say(user_text=live_pb.UserText(text="par"))
        assert text_of(await caller.ask("hello", "t1")) == "1: hello in t1"
        assert text_of(await caller.ask("hello", "t2")) == "2: hello in t2"
    assert ear.calls == 2
    assert all(isinstance(each, UserText) and each.is_final for each in ear.heard)


async def test_a_listener_that_is_invoked_gets_one_input() -> None:
    ear = Ear()
    async with (
        serve_agent(agent_of(ear.listen), AgentSettings(mesh=None)) as served,
        open_channel(served.address) as on,
    ):
        turn = TurnRequest(Message.from_user("hi"), "c", "t")
        said = [each.body.text async for each in AgentClient(on).invoke(turn) if isinstance(each.body, TextDelta)]
    assert said == ["1: hi in t"]
    assert ear.over.is_set()


async def test_a_function_that_fails_fails_its_turn_and_the_next_turn_calls_it_again() -> None:
    async def fragile(turn: Turn) -> AsyncIterator[str]:
        async for given in turn.inputs():
            if isinstance(given, UserText) and given.text == "break":
                raise ZeroDivisionError
            yield "fine"

    async with call_to(fragile) as caller:
        assert text_of(await caller.ask("hello")) == "fine"
        broken = await caller.ask("break")
        assert broken[-1].turn_done.outcome == event_pb.OUTCOME_FAILED
        assert text_of(await caller.ask("hello")) == "fine"


async def test_a_question_and_a_handover_end_the_function_with_the_turn() -> None:
    async def asks(turn: Turn) -> AsyncIterator[str | EventBody]:
        answer = turn.answered("which")
        async for given in turn.inputs():
            if answer:
                yield f"{answer.option_id} it is"
            elif isinstance(given, UserText):
                yield turn.ask("Which?", options={"a": "The first", "b": "The second"}, id="which")

    async with call_to(asks) as caller:
        asked = await caller.ask("go", "t1")
        assert asked[-1].turn_done.outcome == event_pb.OUTCOME_INPUT_REQUIRED
        request = service_pb.InvokeRequest(
            turn_id="t2", message=message_pb2.Message(parts=[message_pb2.Part(text="the second")])
        )
        request.answer.clarification_id, request.answer.option_id = "which", "b"
        await caller.say(turn=request)
        assert text_of(await caller.hear_until("turn_done")) == "b it is"


async def test_a_listener_is_told_less_and_not_more_when_it_does_not_keep_up() -> None:
    gate, heard = asyncio.Event(), []

    async def busy(turn: Turn) -> AsyncIterator[str]:
        async for given in turn.inputs():
            heard.append(given)
            if isinstance(given, UserText):
                yield "yes"
            await gate.wait()

    async with call_to(busy) as caller:
        await caller.text("go", "t1")
        await caller.hear_until("text_delta")
        for number in range(200):
            await caller.say(signal=live_pb.Signal(kind=live_pb.SIGNAL_KIND_NO_MATCH, count=number + 1))
        await caller.say(ping=live_pb.Ping(id=1))
        await caller.hear_until("pong")
        gate.set()
        await caller.ask("go", "t2")
    counts = [each.count for each in heard if isinstance(each, Signal)]
    assert len(counts) <= 64
    assert counts[-1] == 200
    assert counts == sorted(counts)
