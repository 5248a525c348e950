"""Live sessions with text turns, over real gRPC."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from lmos.agent.v1 import agent_event_pb2 as event_pb
from lmos.agent.v1 import agent_service_pb2 as pb
from lmos.agent.v1 import live_session_pb2 as live_pb
from lmos.agent.v1.agent_service_pb2_grpc import AgentServiceStub

from lmos_grpc.domain.event import TextDelta
from lmos_grpc.rpc import open_channel
from tests.fakes.scripted_agent import ScriptedAgent, serve_scripted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc.agent_service import Emit
    from lmos_grpc.domain.turn import TurnRequest


class Session:
    """A caller's side of a live session."""

    def __init__(self, call: Any) -> None:  # Any: grpc.aio's stubs and its calls disagree
        self._call = call

    async def say(self, **member: Any) -> None:  # Any: one member of the oneof
        await self._call.write(pb.ConverseRequest(**member))

    async def text(self, text: str, turn_id: str = "") -> None:
        await self.say(user_text=live_pb.UserText(text=text, is_final=True, turn_id=turn_id))

    async def hear(self) -> event_pb.AgentEvent:
        response = await asyncio.wait_for(self._call.read(), 5)
        assert response is not grpc.aio.EOF, await self._call.code()
        event: event_pb.AgentEvent = response.event
        return event

    async def hear_until(self, kind: str) -> list[event_pb.AgentEvent]:
        heard = [await self.hear()]
        while heard[-1].WhichOneof("event") != kind:
            heard.append(await self.hear())
        return heard

    async def half_close(self) -> None:
        await self._call.done_writing()

    async def ends(self) -> grpc.StatusCode:
        with suppress(grpc.aio.AioRpcError):
            while await asyncio.wait_for(self._call.read(), 5) is not grpc.aio.EOF:
                pass
        code: grpc.StatusCode = await self._call.code()
        return code


@asynccontextmanager
async def session_with(agent: ScriptedAgent, *, start: bool = True) -> AsyncIterator[Session]:
    async with serve_scripted(agent) as address, open_channel(address) as channel:
        call: Any = AgentServiceStub(channel).Converse  # Any: the stub knows only the iterator form
        session = Session(call())
        if start:
            await session.say(start=live_pb.SessionStart(conversation_id="call-1", locale="de"))
            assert (await session.hear()).session_ready.conversation_id == "call-1"
        yield session


async def echo(turn: TurnRequest, emit: Emit) -> None:
    await emit(TextDelta(turn.message.text))


async def never_ends(_: TurnRequest, emit: Emit) -> None:
    await emit(TextDelta("…"))
    await asyncio.Event().wait()


async def test_turns_follow_each_other_in_one_conversation() -> None:
    agent = ScriptedAgent(echo)
    async with session_with(agent) as session:
        for text in ("one", "two"):
            await session.text(text)
            kinds = [each.WhichOneof("event") for each in await session.hear_until("turn_done")]
            assert kinds == ["accepted", "text_delta", "turn_done"]
    assert [turn.conversation_id for turn in agent.asked] == ["call-1", "call-1"]
    assert [turn.user.locale for turn in agent.asked] == ["de", "de"]


async def test_numbers_count_through_the_whole_session() -> None:
    async with session_with(ScriptedAgent(echo)) as session:
        await session.text("one")
        first = await session.hear_until("turn_done")
        await session.text("two")
        second = await session.hear_until("turn_done")
        assert [each.sequence for each in first + second] == list(range(2, 8))


async def test_cancel_stops_the_turn_and_its_turn_done_is_the_acknowledgement() -> None:
    agent = ScriptedAgent(never_ends)
    async with session_with(agent) as session:
        await session.text("go", turn_id="t1")
        await session.hear_until("text_delta")
        await session.say(cancel=live_pb.Cancel(turn_id="t1"))
        done = (await session.hear_until("turn_done"))[-1]
        assert (done.turn_id, done.turn_done.outcome) == ("t1", event_pb.OUTCOME_CANCELLED)
        await asyncio.wait_for(agent.cancelled.wait(), 5)


async def test_new_input_interrupts_the_running_turn() -> None:
    agent = ScriptedAgent(never_ends)
    async with session_with(agent) as session:
        await session.text("first", turn_id="t1")
        await session.hear_until("text_delta")
        agent.script = echo
        await session.text("second", turn_id="t2")
        interrupted = (await session.hear_until("turn_done"))[-1]
        assert (interrupted.turn_id, interrupted.turn_done.outcome) == ("t1", event_pb.OUTCOME_INTERRUPTED)
        finished = await session.hear_until("turn_done")
        assert {each.turn_id for each in finished} == {"t2"}


async def test_end_ends_the_session_with_session_ended() -> None:
    async with session_with(ScriptedAgent(never_ends)) as session:
        await session.text("go")
        await session.hear_until("text_delta")
        await session.say(end=live_pb.SessionEnd())
        heard = await session.hear_until("session_ended")
        assert [each.WhichOneof("event") for each in heard] == ["turn_done", "session_ended"]
        assert await session.ends() is grpc.StatusCode.OK


async def test_half_close_finishes_the_running_turn() -> None:
    async with session_with(ScriptedAgent(echo)) as session:
        await session.text("last words")
        await session.half_close()
        heard = await session.hear_until("session_ended")
        assert [each.WhichOneof("event") for each in heard] == ["accepted", "text_delta", "turn_done", "session_ended"]


async def test_ping_is_answered_while_a_turn_runs() -> None:
    async with session_with(ScriptedAgent(never_ends)) as session:
        await session.text("go")
        await session.say(ping=live_pb.Ping(id=7))
        assert (await session.hear_until("pong"))[-1].pong.id == 7


async def test_a_refused_turn_is_told_in_band_and_the_session_goes_on() -> None:
    async with session_with(ScriptedAgent(echo)) as session:
        await session.text(" ")
        heard = await session.hear_until("turn_done")
        assert [each.WhichOneof("event") for each in heard] == ["error", "turn_done"]
        await session.text("better")
        assert len(await session.hear_until("turn_done")) == 3


async def test_input_of_an_unsupported_kind_is_told_in_band() -> None:
    async with session_with(ScriptedAgent(echo)) as session:
        await session.say(audio=live_pb.Audio(content=b"1"))
        assert "audio" in (await session.hear()).error.message


@pytest.mark.parametrize("first", [{"ping": live_pb.Ping(id=1)}, {"end": live_pb.SessionEnd()}])
async def test_a_session_that_does_not_begin_with_start_is_refused(first: dict[str, object]) -> None:
    async with session_with(ScriptedAgent(echo), start=False) as session:
        await session.say(**first)
        assert await session.ends() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_second_start_is_refused() -> None:
    async with session_with(ScriptedAgent(echo)) as session:
        await session.say(start=live_pb.SessionStart())
        assert await session.ends() is grpc.StatusCode.FAILED_PRECONDITION
