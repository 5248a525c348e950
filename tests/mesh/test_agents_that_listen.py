"""Agents that listen, through a real Envoy and the orchestrator, beside agents that know only turns."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from lmos.agent.v1 import agent_event_pb2 as event_pb
from lmos.agent.v1 import live_session_pb2 as live_pb

from lmos_grpc import (
    Agent,
    CancelRequest,
    KeysPressed,
    PlaybackReport,
    Signal,
    SignalKind,
    ToolCallState,
    ToolResult,
    UserText,
    serve_agent,
)
from lmos_grpc.cli.mesh.whereabouts import TRACES
from lmos_grpc.traces import open_span_reader
from tests.fakes.live_caller import LIMIT, live_caller, text_of
from tests.mesh.acceptance import drawn
from tests.mesh.whole_mesh import agent_settings, billing_agent, until, whole_mesh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lmos_grpc import CallerInput, EventBody, Turn

pytestmark = pytest.mark.mesh
BOOK = "i want to book a table"
BILL = "why is my bill so high"


class BookingAgent(Agent):
    """Stays with a call, and keeps in one place all that it heard."""

    def __init__(self, name: str = "booking-agent") -> None:
        super().__init__(name, version="1.0.0", description="Books tables.", listens=True, may_hand_over=True)
        self.heard: list[CallerInput] = []
        self.calls = 0
        self.stopped = asyncio.Event()
        self.left = asyncio.Event()

        @self.capability("book-table", version="1.0.0", examples={"en": [BOOK, "a table for two", "book it"]})
        async def book(turn: Turn) -> AsyncIterator[str | EventBody]:
            self.calls += 1
            try:
                async for given in turn.inputs():
                    self.heard.append(given)
                    match given:
                        case UserText(is_final=False):
                            pass
                        case UserText(text="tell me about the table"):
                            async with turn.interruptible():
                                try:
                                    yield "It is by the window and"
                                    await asyncio.Event().wait()
                                finally:
                                    self.stopped.set()
                        case UserText(text="book it for me"):
                            call = {"day": "Monday"}
                            yield turn.tool_call("calendar", ToolCallState.REQUESTED, id="c1", arguments=call)
                        case ToolResult("c1"):
                            yield "Booked."
                        case UserText(text="goodbye from the table"):
                            yield turn.hand_over(agent="billing-agent")
                        case UserText() | KeysPressed(complete=True):
                            yield f"Booking {turn.text}, {len(self.heard)} heard, {len(turn.history)} before."
            finally:
                self.left.set()

    def of(self, kind: type[CallerInput]) -> list[CallerInput]:
        return [each for each in self.heard if isinstance(each, kind)]


async def test_a_listening_agent_hears_partials_keys_playback_and_silence_between_its_turns(tmp_path: Path) -> None:
    booking = BookingAgent()
    async with whole_mesh(tmp_path, booking, billing_agent()) as mesh, live_caller(mesh.edge) as caller:
        await caller.start(conversation_id="call-1", locale="en")
        await caller.say(user_text=live_pb.UserText(text="i want"))  # before it has had a turn: not for its ears
        first = await caller.ask(BOOK, "t1")
        assert text_of(first) == f"Booking {BOOK}, 1 heard, 0 before."
        assert [each.sequence for each in first] == list(range(2, len(first) + 2))
        await caller.say(user_text=live_pb.UserText(text="a ta"))
        await until(lambda: bool(booking.heard) and booking.heard[-1] == UserText("a ta", is_final=False))
        played = live_pb.Playback(state=live_pb.PLAYBACK_STATE_COMPLETED, turn_id="t1", heard_text="Booking")
        await caller.say(playback=played)
        await caller.say(signal=live_pb.Signal(kind=live_pb.SIGNAL_KIND_NO_INPUT, count=1))
        await caller.say(dtmf=live_pb.Dtmf(digits="2"))
        await caller.say(dtmf=live_pb.Dtmf(digits="2", complete=True, turn_id="t2"))
        assert text_of(await caller.hear_until("turn_done")) == "Booking 2, 6 heard, 2 before."
        assert [type(each) for each in booking.heard[1:]] == [
            *(UserText, PlaybackReport, Signal, KeysPressed, KeysPressed)
        ]
        assert booking.of(Signal) == [Signal(SignalKind.NO_INPUT, 1)]
        assert booking.calls == 1


async def test_another_agent_takes_the_turn_and_the_one_that_listened_hears_no_more(tmp_path: Path) -> None:
    booking = BookingAgent()
    async with whole_mesh(tmp_path, booking, billing_agent()) as mesh, live_caller(mesh.edge) as caller:
        await caller.start(conversation_id="call-1", locale="en")
        await caller.ask(BOOK)
        assert text_of(await caller.ask(BILL)) == "Your bill is 42 euros."
        await asyncio.wait_for(booking.left.wait(), LIMIT)
        await caller.say(user_text=live_pb.UserText(text="my secret"))
        # A function of its own, with all that was said meanwhile in the history.
        assert text_of(await caller.ask("a table for two")) == "Booking a table for two, 2 heard, 4 before."
        assert booking.calls == 2
        assert not [each for each in booking.of(UserText) if each == UserText("my secret", is_final=False)]
        assert text_of(await caller.ask("goodbye from the table")) == "Your bill is 42 euros."


async def test_an_interruption_reaches_the_listening_agent_with_what_was_heard_and_its_function_goes_on(
    tmp_path: Path,
) -> None:
    booking = BookingAgent()
    async with whole_mesh(tmp_path, booking, billing_agent()) as mesh, live_caller(mesh.edge) as caller:
        await caller.start(conversation_id="call-1", locale="en")
        await caller.ask(BOOK, "t1")
        await caller.text("tell me about the table", "t2")
        await caller.hear_until("text_delta")
        cancel = live_pb.Cancel(turn_id="t2", cause=live_pb.CANCEL_CAUSE_BARGE_IN, heard_text="It is by")
        await caller.say(cancel=cancel)
        assert (await caller.hear()).turn_done.outcome == event_pb.OUTCOME_CANCELLED
        await asyncio.wait_for(booking.stopped.wait(), LIMIT)
        await until(lambda: bool(booking.of(CancelRequest)))
        (heard,) = booking.of(CancelRequest)
        assert isinstance(heard, CancelRequest)
        assert (heard.turn_id, heard.heard_text) == ("t2", "It is by")
        assert text_of(await caller.ask("book it", "t3")) == "Booking book it, 4 heard, 4 before."
        assert booking.calls == 1


async def test_the_result_of_a_tool_that_the_caller_ran_reaches_the_agent_that_asked(tmp_path: Path) -> None:
    booking = BookingAgent()
    async with whole_mesh(tmp_path, booking) as mesh, live_caller(mesh.edge) as caller:
        await caller.start(conversation_id="call-1", locale="en")
        await caller.text("book it for me", "t1")
        asked = (await caller.hear_until("tool_call"))[-1].tool_call
        assert (asked.name, asked.arguments["day"]) == ("calendar", "Monday")
        await caller.say(tool_result=live_pb.ToolResult(id=asked.id))
        heard = await caller.hear_until("turn_done")
        assert (text_of(heard), heard[-1].turn_id) == ("Booked.", "t1")


async def test_a_session_goes_on_when_the_listening_agent_is_replaced(tmp_path: Path) -> None:
    async with whole_mesh(tmp_path) as mesh, live_caller(mesh.edge) as caller:
        await caller.start(conversation_id="call-1", locale="en")
        for number in range(2):
            booking = BookingAgent()
            async with serve_agent(booking, agent_settings(mesh)) as served:
                await asyncio.wait_for(served.wait_registered(), LIMIT)
                said = text_of(await caller.ask(BOOK, f"t{number}"))
                assert said.endswith(f"{2 * number} before.")
                assert booking.calls == 1
            await asyncio.wait_for(booking.left.wait(), LIMIT)


async def test_two_calls_to_a_listening_agent_do_not_hear_each_other(tmp_path: Path) -> None:
    booking = BookingAgent()
    async with whole_mesh(tmp_path, booking) as mesh, AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(live_caller(mesh.edge)) for _ in range(8)]
        for number, caller in enumerate(callers):
            await caller.start(conversation_id=f"call-{number}", locale="en")
        await asyncio.gather(*(caller.ask(BOOK, "t1") for caller in callers))
        booking.heard.clear()
        for number, caller in enumerate(callers):
            await caller.say(user_text=live_pb.UserText(text=f"partial {number}"))
        said = [text_of(each) for each in await asyncio.gather(*(caller.ask("book it", "t2") for caller in callers))]
        assert all("Booking book it" in each for each in said)
        assert booking.calls == 8
        assert len([each for each in booking.of(UserText) if not each.is_final]) == 8  # type: ignore[union-attr]


async def test_the_turns_of_a_listening_agent_are_in_the_one_trace_of_the_session(tmp_path: Path) -> None:
    async with whole_mesh(tmp_path, BookingAgent(), billing_agent()) as mesh:
        async with live_caller(mesh.edge) as caller:
            await caller.start(conversation_id="call-1", locale="en")
            await caller.ask(BOOK, "t1")
            await caller.ask("book it", "t2")
            await caller.ask(BILL, "t3")
            await caller.say(end=live_pb.SessionEnd())
            await caller.ends()

        def session() -> list[str]:
            with open_span_reader(mesh.state / TRACES) as reader:
                traces = [reader.get_trace(each.trace_id) for each in reader.list_traces(20)]
            return next((drawn(each).split("\n") for each in traces if each and "edge Converse" in drawn(each)), [])

        def finished() -> bool:
            lines = session()
            return sum("invoke_agent" in line for line in lines) == 3 and not any("ORPHAN" in line for line in lines)

        await until(finished)
        depths = {line.strip(): len(line) - len(line.lstrip()) for line in session()}
        served = "booking-agent lmos.agent.v1.AgentService/Converse server"
        assert depths["booking-agent invoke_agent booking-agent internal"] == depths[served] + 2
