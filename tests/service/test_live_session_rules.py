"""What a live session promises beside its turns: interruption, what was heard, resuming, moving, over real gRPC."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from lmos.agent.v1 import agent_event_pb2 as event_pb
from lmos.agent.v1 import live_session_pb2 as live_pb

from lmos_grpc.agent_service import SqliteSessionStore
from lmos_grpc.conversation import MemoryTurnLog
from lmos_grpc.domain.event import Source, TextDelta
from lmos_grpc.domain.live_session import (
    DtmfSpec,
    HeardAnswer,
    InputSpec,
    KeysPressed,
    Prompt,
    PromptKind,
    Signal,
    SignalKind,
    TransferResult,
)
from lmos_grpc.domain.turn import Role
from tests.fakes.live_caller import LIMIT, live_caller, text_of
from tests.fakes.scripted_agent import ScriptedAgent, serve_scripted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lmos_grpc.agent_service import Emit
    from lmos_grpc.domain.turn import Message, TurnRequest
    from tests.fakes.live_caller import LiveCaller

ME = Source("scripted", "1.0.0", "greet")
FIVE_WORDS = "one two three four five"


async def echo(turn: TurnRequest, emit: Emit) -> None:
    await emit(TextDelta(f"you said {turn.message.text}"))


async def speaks_and_waits(_: TurnRequest, emit: Emit) -> None:
    await emit(TextDelta(FIVE_WORDS))
    await asyncio.Event().wait()


async def speaks(_: TurnRequest, emit: Emit) -> None:
    await emit(TextDelta(FIVE_WORDS))


@asynccontextmanager
async def session_with(agent: ScriptedAgent, log: MemoryTurnLog | None = None) -> AsyncIterator[LiveCaller]:
    async with serve_scripted(agent, log=log) as address, live_caller(address) as caller:
        await caller.start(conversation_id="call-1")
        yield caller


async def answers(log: MemoryTurnLog) -> list[tuple[str, bool]]:
    return [
        (each.text, each.interrupted) for each in await log.history("default", "call-1", 20) if each.role is Role.AGENT
    ]


async def answers_in(log: MemoryTurnLog) -> tuple[Message, ...]:
    return await log.history("default", "call-1", 20)


@pytest.mark.parametrize(
    ("heard", "kept"),
    [
        ({"heard_text": "one two"}, [("one two", True)]),
        ({"heard_text": FIVE_WORDS}, [(FIVE_WORDS, False)]),
        ({"heard": Duration()}, []),
        ({}, [(FIVE_WORDS, True)]),
    ],
)
async def test_a_cancelled_turn_is_remembered_as_it_was_heard(
    heard: dict[str, str], kept: list[tuple[str, bool]]
) -> None:
    log, agent = MemoryTurnLog(), ScriptedAgent(speaks_and_waits)
    async with session_with(agent, log) as caller:
        await caller.text("go", "t1")
        await caller.hear_until("text_delta")
        await caller.say(cancel=live_pb.Cancel(turn_id="t1", **heard))  # type: ignore[arg-type] # as parametrised
        assert (await caller.hear()).turn_done.outcome == event_pb.OUTCOME_CANCELLED
        agent.script = echo
        await caller.ask("next")
    assert (await answers(log))[:-1] == kept


async def test_an_answer_that_was_interrupted_while_it_was_played_is_remembered_as_it_was_heard() -> None:
    log, agent = MemoryTurnLog(), ScriptedAgent(speaks)
    async with session_with(agent, log) as caller:
        await caller.ask("go", "t1")
        report = live_pb.Playback(state=live_pb.PLAYBACK_STATE_INTERRUPTED, turn_id="t1", heard_text="one two three")
        await caller.say(playback=report)
        await caller.ask("next", "t2")
    assert (await answers(log))[0] == ("one two three", True)
    assert agent.asked[1].live
    assert agent.asked[1].live.heard == HeardAnswer("t1", "one two three", interrupted=True)


async def test_nothing_of_a_turn_comes_after_the_end_of_it_was_acknowledged() -> None:
    async def stubborn(_: TurnRequest, emit: Emit) -> None:
        try:
            await speaks_and_waits(_, emit)
        finally:
            emit.put(TextDelta("and another thing"))

    agent = ScriptedAgent(stubborn)
    async with session_with(agent) as caller:
        await caller.text("go", "t1")
        await caller.hear_until("text_delta")
        await caller.say(cancel=live_pb.Cancel())
        await caller.hear_until("turn_done")
        await asyncio.wait_for(agent.cancelled.wait(), LIMIT)
        await caller.say(ping=live_pb.Ping(id=1))
        assert (await caller.hear()).pong.id == 1


async def test_what_must_not_be_interrupted_is_finished_before_the_next_input_is_taken() -> None:
    gate = asyncio.Event()

    async def legal(_: TurnRequest, emit: Emit) -> None:
        await emit(Prompt("this call is recorded", "p1", interruptible=False), ME)
        await gate.wait()

    agent = ScriptedAgent(legal)
    async with session_with(agent) as caller:
        await caller.text("go", "t1")
        await caller.hear_until("prompt")
        await caller.text("stop", "t2")
        await caller.say(ping=live_pb.Ping(id=1))
        await caller.hear_until("pong")
        agent.script = echo
        gate.set()
        first = (await caller.hear_until("turn_done"))[-1]
        assert (first.turn_id, first.turn_done.outcome) == ("t1", event_pb.OUTCOME_COMPLETED)
        assert text_of(await caller.hear_until("turn_done")) == "you said stop"


async def test_keys_silence_and_a_failed_transfer_are_turns_for_the_agent_that_spoke_last() -> None:
    async def with_source(turn: TurnRequest, emit: Emit) -> None:
        await emit(TextDelta(turn.message.text or "…"), ME)

    agent = ScriptedAgent(with_source)
    async with session_with(agent) as caller:
        await caller.ask("hello")
        await caller.keys("4711")
        await caller.hear_until("turn_done")
        await caller.say(signal=live_pb.Signal(kind=live_pb.SIGNAL_KIND_NO_INPUT, count=2, turn_id="s"))
        await caller.hear_until("turn_done")
        await caller.say(transfer_result=live_pb.TransferResult(outcome=live_pb.TRANSFER_OUTCOME_BUSY))
        await caller.hear_until("turn_done")
    _, keys, silence, busy = agent.asked
    assert (keys.message.text, keys.hint.agent, keys.hint.capability) == ("4711", "scripted", "greet")
    assert keys.live
    assert isinstance(keys.live.about, KeysPressed)
    assert silence.live
    assert silence.live.about == Signal(SignalKind.NO_INPUT, 2, "s")
    assert busy.live
    assert isinstance(busy.live.about, TransferResult)


async def test_partial_text_partial_keys_and_signals_of_the_edge_begin_no_turn() -> None:
    agent = ScriptedAgent(echo)
    async with session_with(agent) as caller:
        await caller.say(user_text=live_pb.UserText(text="hel"))
        await caller.say(dtmf=live_pb.Dtmf(digits="1"))
        await caller.say(signal=live_pb.Signal(kind=live_pb.SIGNAL_KIND_NO_INPUT, count=1))
        await caller.ask("hello")
    assert [each.message.text for each in agent.asked] == ["hello"]


async def test_a_connected_transfer_ends_the_session() -> None:
    async with session_with(ScriptedAgent(echo)) as caller:
        await caller.say(transfer_result=live_pb.TransferResult(outcome=live_pb.TRANSFER_OUTCOME_CONNECTED))
        assert (await caller.hear()).session_ended.reason == live_pb.END_REASON_TRANSFERRED
        assert await caller.ends() is grpc.StatusCode.OK


async def test_an_update_changes_language_and_variables_of_the_turns_to_come() -> None:
    agent = ScriptedAgent(echo)
    async with session_with(agent) as caller:
        await caller.say(update=live_pb.SessionUpdate(locale="de", variables={"tier": "gold"}))
        await caller.ask("hello")
    assert agent.asked[0].user.locale == "de"
    assert agent.asked[0].user.attributes == {"tier": "gold"}


async def test_input_is_sensitive_as_long_as_the_agent_has_asked_for_such_input() -> None:
    async def asks_for_card(turn: TurnRequest, emit: Emit) -> None:
        sensitive = turn.message.text == "pay"
        await emit(InputSpec(dtmf=DtmfSpec(16), sensitive=sensitive), ME)

    log, agent = MemoryTurnLog(), ScriptedAgent(asks_for_card)
    async with session_with(agent, log) as caller:
        await caller.ask("pay")
        await caller.keys("4111111111111111")
        await caller.hear_until("turn_done")
        await caller.ask("thanks")
    assert [each.sensitive for each in agent.asked] == [False, True, False]
    assert [each.hint.agent for each in agent.asked] == ["", "scripted", "scripted"]
    assert "4111" not in repr(await answers_in(log))


async def test_fillers_are_no_part_of_the_history_and_other_prompts_are() -> None:
    async def prompts(_: TurnRequest, emit: Emit) -> None:
        await emit(Prompt("one moment", "a", PromptKind.FILLER))
        await emit(Prompt("<speak>it is <b>ready</b></speak>", "b", ssml=True))

    log = MemoryTurnLog()
    async with session_with(ScriptedAgent(prompts), log) as caller:
        await caller.ask("go")
    assert [each.text for each in await answers_in(log)] == ["go", "it is ready"]


async def test_a_stream_that_breaks_is_taken_up_without_a_lost_or_doubled_event() -> None:
    gates = {word: asyncio.Event() for word in ("two", "three")}

    async def slowly(_: TurnRequest, emit: Emit) -> None:
        await emit(TextDelta("one"))
        for word, gate in gates.items():
            await gate.wait()
            await emit(TextDelta(word))

    agent = ScriptedAgent(slowly)
    async with serve_scripted(agent) as address:
        async with live_caller(address) as caller:
            ready = await caller.start(conversation_id="call-1")
            await caller.text("go", sequence=2)
            before = await caller.hear_until("text_delta")
        gates["two"].set()
        async with live_caller(address) as again:
            resumed = await again.start(resume_token=ready.resume_token, last_sequence=caller.last)
            assert (resumed.resumed, resumed.session_id, resumed.last_input_sequence) == (True, ready.session_id, 2)
            gates["three"].set()
            # Sent again, because its caller could not know that it had come.
            await again.text("go", sequence=2)
            after = await again.hear_until("turn_done")
            assert text_of(before + after) == "onetwothree"
            assert [each.sequence for each in before + after] == list(range(2, 7))
    assert len(agent.asked) == 1


async def test_a_second_stream_takes_the_session_from_the_first() -> None:
    async with serve_scripted(ScriptedAgent(echo)) as address, live_caller(address) as first:
        ready = await first.start()
        async with live_caller(address) as second:
            assert (await second.start(resume_token=ready.resume_token, last_sequence=first.last)).resumed
            assert await first.ends() is grpc.StatusCode.FAILED_PRECONDITION
            assert text_of(await second.ask("hi")) == "you said hi"


async def test_a_session_without_a_stream_ends_with_what_runs_in_it_after_a_while() -> None:
    agent = ScriptedAgent(speaks_and_waits)
    async with serve_scripted(agent, keep=timedelta(milliseconds=50)) as address:
        async with live_caller(address) as caller:
            ready = await caller.start(conversation_id="call-1")
            await caller.text("go")
            await caller.hear_until("text_delta")
        await asyncio.wait_for(agent.cancelled.wait(), LIMIT)
        async with live_caller(address) as again:
            new = await again.start(conversation_id="call-1", resume_token=ready.resume_token, last_sequence=3)
            assert (new.resumed, new.conversation_id) == (False, "call-1")
            assert new.session_id != ready.session_id


async def test_a_caller_who_comes_back_without_the_token_has_a_new_session_in_place_of_the_old_one() -> None:
    agent = ScriptedAgent(speaks_and_waits)
    async with serve_scripted(agent) as address:
        async with live_caller(address) as caller:
            ready = await caller.start(conversation_id="call-1")
            await caller.text("go", "t1")
            await caller.hear_until("text_delta")
        async with live_caller(address) as again:
            assert (await again.start(conversation_id="call-1")).session_id != ready.session_id
            await asyncio.wait_for(agent.cancelled.wait(), LIMIT)
            # Asked again by its id, the turn that was running tells how it ended.
            assert (await again.ask("go", "t1"))[-1].turn_done.outcome == event_pb.OUTCOME_CANCELLED


async def test_another_tenant_cannot_take_up_a_session() -> None:
    async with serve_scripted(ScriptedAgent(echo)) as address:
        async with live_caller(address, tenant="acme") as caller:
            ready = await caller.start()
        async with live_caller(address, tenant="other") as thief:
            taken = await thief.start(conversation_id="c", resume_token=ready.resume_token, last_sequence=1)
            assert not taken.resumed


async def test_an_agent_waits_while_its_caller_is_away_for_too_long() -> None:
    written = 0

    async def endless(_: TurnRequest, emit: Emit) -> None:
        nonlocal written
        while True:
            await emit(TextDelta("x"))
            written += 1

    async with serve_scripted(ScriptedAgent(endless)) as address:
        async with live_caller(address) as caller:
            ready = await caller.start()
            await caller.text("go")
            await caller.hear_until("text_delta")
        before = -1
        async with asyncio.timeout(LIMIT):
            while before != written:  # until it writes no more
                before = written
                await asyncio.sleep(0.1)
        async with live_caller(address) as again:
            told = {"resume_token": ready.resume_token, "last_sequence": caller.last}
            resumed = await again.start(conversation_id="call-1", **told)
            if resumed.resumed:  # what was under way when the line went dead may have been too much to keep
                numbers = [(await again.hear()).sequence for _ in range(500)]
                assert numbers == list(range(caller.last + 1, caller.last + 501))


async def test_a_session_goes_on_in_another_process_that_shares_the_store(tmp_path: Path) -> None:
    def store() -> SqliteSessionStore:
        return SqliteSessionStore(tmp_path / "sessions.sqlite")

    gate = asyncio.Event()

    async def gated(_: TurnRequest, emit: Emit) -> None:
        await emit(TextDelta("almost "))
        await gate.wait()
        await emit(TextDelta("done"))

    log = MemoryTurnLog()  # of both, as a file would be
    stop = asyncio.Event()
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def first_process() -> None:
        async with serve_scripted(ScriptedAgent(gated), store=store(), log=log) as served:
            address.set_result(served)
            await stop.wait()

    async with asyncio.TaskGroup() as group:
        first = group.create_task(first_process())
        async with live_caller(await address) as caller:
            ready = await caller.start(conversation_id="call-1", locale="de")
            await caller.text("go", "t1", sequence=2)
            await caller.hear_until("text_delta")
            stop.set()
            away = (await caller.hear_until("go_away"))[-1]
            assert (away.go_away.resume_token, away.sequence) == (ready.resume_token, 0)
            gate.set()
            rest = await caller.rest()
            assert [each.WhichOneof("event") for each in rest] == ["text_delta", "turn_done"]
            assert await caller.ends() is grpc.StatusCode.OK
        await first
    agent = ScriptedAgent(echo)
    async with serve_scripted(agent, store=store(), log=log) as second, live_caller(second) as again:
        # The last event was lost on the way.
        resumed = await again.start(resume_token=ready.resume_token, last_sequence=rest[-2].sequence)
        assert (resumed.resumed, resumed.conversation_id, resumed.last_input_sequence) == (True, "call-1", 2)
        assert (await again.hear()) == rest[-1]
        heard = await again.ask("next")
        assert heard[0].sequence == rest[-1].sequence + 1
        assert agent.asked[0].user.locale == "de"


async def test_a_session_in_the_store_can_be_taken_out_once_by_its_tenant_and_in_time(tmp_path: Path) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    store = SqliteSessionStore(tmp_path / "s.sqlite", now=lambda: at)
    source = SqliteSessionStore(tmp_path / "t.sqlite")
    async with serve_scripted(ScriptedAgent(echo), store=source) as address, live_caller(address) as caller:
        ready = await caller.start(conversation_id="call-1")
        await caller.ask("hi")
    snapshot = await source.claim(ready.resume_token, "default")
    assert snapshot
    assert snapshot.state.start.conversation_id == "call-1"
    assert len(snapshot.frames) == caller.last
    await store.keep(snapshot, at + timedelta(seconds=30))
    assert await store.claim(ready.resume_token, "other") is None
    assert await store.claim("wrong", "default") is None
    assert await store.claim(ready.resume_token, "default") == snapshot
    await store.keep(snapshot, at - timedelta(seconds=5))
    assert await store.claim(ready.resume_token, "default") is None
