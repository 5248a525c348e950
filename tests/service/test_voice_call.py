"""A telephone call over a real AudioSocket, to an agent over a real live session."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.channels.audiosocket.frame import Frame, Kind
from lmos_grpc.channels.voice.call_leg import CallEnd, CallResult
from lmos_grpc.channels.voice.metered_calls import MeteredCalls
from lmos_grpc.cli.ivr.phone import phone_call
from lmos_grpc.domain.event import Outcome, TextDelta, TurnDone
from lmos_grpc.domain.live_session import (
    DtmfSpec,
    InputMode,
    InputSpec,
    Prompt,
    Recording,
    SessionEnded,
    SignalKind,
    Transfer,
)
from lmos_grpc.telemetry import CallMetrics
from tests.fakes.scripted_agent import ScriptedAgent, serve_scripted
from tests.fakes.tcp_relay import tcp_relay
from tests.fakes.voice_desk import Watching, settings, speech, voice_desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc.agent_service import Emit
    from lmos_grpc.channels.voice.settings import VoiceSettings
    from lmos_grpc.domain.turn import TurnRequest
    from tests.fakes.scripted_agent import Script
    from tests.fakes.tcp_relay import TcpRelay
    from tests.fakes.voice_desk import Desk

LONG = "this is a very long answer going on for a while"
SOON = timedelta(milliseconds=300)


@asynccontextmanager
async def call(script: Script, voice: VoiceSettings | None = None) -> AsyncIterator[tuple[Desk, ScriptedAgent]]:
    agent = ScriptedAgent(script)
    async with serve_scripted(agent) as address, voice_desk(address, voice or settings()) as desk:
        await desk.hears("hello")
        await desk.phone.hear_silence_after(desk.phone.now(), lasting=0.1)
        yield desk, agent


async def echo(turn: TurnRequest, emit: Emit) -> None:
    await emit(TextDelta(f"you said {turn.message.text}."))


async def speaks_for_long_and_never_ends(_: TurnRequest, emit: Emit) -> None:
    await emit(TextDelta(f"{LONG}. "))
    await asyncio.Event().wait()


async def test_a_caller_is_greeted_at_once_and_answered() -> None:
    async with call(echo) as (desk, agent):
        await desk.say("my question")
        await desk.hears("you said my question.")
        await desk.phone.until(lambda: desk.heard_in_full("you said my question."))
        assert desk.heard_in_full("hello")
        [asked] = agent.asked
        assert (asked.message.text, asked.context.channel, asked.user.locale) == ("my question", "ivr", "en")


async def test_turns_of_one_call_are_one_conversation() -> None:
    async with call(echo) as (desk, agent):
        for text in ("one", "two"):
            await desk.say(text)
            await desk.hears(f"you said {text}.")
        assert len({each.conversation_id for each in agent.asked}) == 1


async def test_a_caller_who_interrupts_hears_silence_and_the_agent_is_stopped() -> None:
    async with call(speaks_for_long_and_never_ends) as (desk, agent):
        await desk.say("go on")
        await desk.hears(f"{LONG}.")
        agent.script = echo
        began, _ = await desk.say("stop", 600)
        await asyncio.wait_for(agent.cancelled.wait(), 5)
        await desk.hears("you said stop.")
        assert desk.phone.record.heard.silence_after(began, lasting=0.1)
        assert not desk.heard_in_full(f"{LONG}.")


async def test_a_cough_makes_the_voice_pause_and_go_on_where_it_was() -> None:
    async with call(speaks_for_long_and_never_ends) as (desk, agent):
        await desk.say("go on")
        await desk.hears(f"{LONG}.")
        cough, _ = await desk.say("", 120)
        silent = await desk.phone.hear_silence_after(cough, lasting=0.1)
        await desk.phone.hear_sound_after(silent)
        assert not agent.cancelled.is_set()


async def test_what_must_be_heard_is_not_interrupted() -> None:
    async def reads_terms(_: TurnRequest, emit: Emit) -> None:
        await emit(Prompt("these are the terms that you must hear", interruptible=False))

    async with call(reads_terms) as (desk, agent):
        await desk.say("terms")
        await desk.hears("these are the terms that you must hear")
        await desk.say("no no no", 300)
        await desk.phone.until(lambda: desk.heard_in_full("these are the terms that you must hear"))
        assert len(agent.asked) == 1


async def test_keys_are_collected_as_the_agent_wants_them() -> None:
    async def asks_digits(turn: TurnRequest, emit: Emit) -> None:
        if turn.message.text.isdigit():
            await emit(TextDelta("thank you."))
        else:
            await emit(InputSpec(mode=InputMode.DTMF, dtmf=DtmfSpec(length=4)))
            await emit(TextDelta("type now."))

    async with call(asks_digits) as (desk, agent):
        await desk.say("number")
        await desk.hears("type now.")
        desk.phone.press("1234")
        await desk.hears("thank you.")
        assert [each.message.text for each in agent.asked] == ["number", "1234"]


async def test_keys_without_an_agent_that_asks_end_with_the_hash_key() -> None:
    async with call(echo) as (desk, _):
        desk.phone.press("12#")
        await desk.hears("you said 12.")


async def test_sensitive_keys_are_in_no_log_and_told_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def asks_card(turn: TurnRequest, emit: Emit) -> None:
        if not turn.message.text.isdigit():
            await emit(InputSpec(mode=InputMode.DTMF, dtmf=DtmfSpec(length=6), sensitive=True))
        await emit(TextDelta("well then."))

    async with call(asks_card) as (desk, agent):
        await desk.say("pay")
        await desk.hears("well then.")
        desk.phone.press("493817")
        async with asyncio.timeout(5):
            while len(agent.asked) < 2:
                agent.admitted.clear()
                await agent.admitted.wait()
        assert desk.watching.asked_texts == ["pay"]
    assert "493817" not in caplog.text


async def test_a_silent_caller_is_asked_twice_and_then_hung_up_on() -> None:
    async with call(echo, settings(no_input_after=SOON)) as (desk, _):
        assert (await desk.ends()).end is CallEnd.HUNG_UP
        assert desk.watching.spoken == ["hello", "quiet once", "quiet twice", "goodbye then"]
        await desk.phone.until(desk.phone.hung_up.is_set)
        assert desk.heard_in_full("goodbye then")


async def test_a_caller_who_is_not_understood_is_asked_twice_and_then_connected_to_a_person() -> None:
    async with call(echo, settings(fallback_target="people")) as (desk, agent):
        for text in ("what", "what else", "nobody is here"):
            await desk.say("", 400)
            await desk.hears(text)
        result = await desk.ends()
        assert (result.end, result.target) == (CallEnd.TRANSFERRED, "people")
        assert agent.asked == []


async def test_a_transfer_waits_until_the_farewell_was_heard_in_full() -> None:
    async def connects(_: TurnRequest, emit: Emit) -> None:
        await emit(TextDelta(f"{LONG}."))
        await emit(Transfer("queue-1", summary="wants a person"))
        await emit(TurnDone(Outcome.TRANSFERRED))

    async with call(connects) as (desk, _):
        await desk.say("a person")
        result = await desk.ends()
        assert (result.end, result.target, result.summary) == (CallEnd.TRANSFERRED, "queue-1", "wants a person")
        await desk.phone.until(desk.phone.hung_up.is_set)
        assert desk.phone.said_goodbye
        assert desk.heard_in_full(f"{LONG}.")


async def test_an_agent_ends_a_call_after_its_last_words() -> None:
    async def says_goodbye(_: TurnRequest, emit: Emit) -> None:
        await emit(TextDelta("goodbye my friend."))
        await emit(SessionEnded())
        await emit(TurnDone(Outcome.SESSION_ENDED))

    async with call(says_goodbye) as (desk, _):
        await desk.say("bye")
        assert (await desk.ends()).end is CallEnd.HUNG_UP
        await desk.phone.until(desk.phone.hung_up.is_set)
        assert desk.heard_in_full("goodbye my friend.")


async def test_an_agent_hears_of_a_caller_who_hangs_up() -> None:
    async with call(speaks_for_long_and_never_ends) as (desk, agent):
        await desk.say("go on")
        await desk.hears(f"{LONG}.")
        await desk.phone.hang_up()
        await asyncio.wait_for(agent.cancelled.wait(), 5)
        assert (await desk.ends()).end is CallEnd.CALLER_HUNG_UP


async def test_a_caller_who_waits_long_is_told_to_wait() -> None:
    async def thinks(_: TurnRequest, emit: Emit) -> None:
        await asyncio.sleep(1)
        await emit(TextDelta("there it is."))

    async with call(thinks, settings(filler_after=SOON)) as (desk, _):
        await desk.say("think")
        await desk.hears("there it is.")
        assert desk.watching.spoken == ["hello", "wait", "there it is."]


async def test_an_agent_that_fails_is_apologised_for() -> None:
    async def fails(_turn: TurnRequest, _emit: Emit) -> None:
        raise RuntimeError("broken")

    async with call(fails) as (desk, agent):
        await desk.say("try")
        await desk.hears("sorry")
        agent.script = echo
        await desk.say("again")
        await desk.hears("you said again.")


async def test_an_agent_that_says_nothing_in_time_is_given_up() -> None:
    async def hangs(_turn: TurnRequest, _emit: Emit) -> None:
        await asyncio.Event().wait()

    async with call(hangs, settings(turn_limit=SOON)) as (desk, agent):
        await desk.say("hang")
        await desk.hears("sorry")
        await asyncio.wait_for(agent.cancelled.wait(), 5)


async def test_without_a_mesh_the_caller_is_told_so_and_given_back() -> None:
    async with voice_desk("127.0.0.1:1", settings(fallback_target="people")) as desk:
        result = await desk.ends()
        assert (result.end, result.target) == (CallEnd.TRANSFERRED, "people")
        await desk.phone.until(desk.phone.hung_up.is_set)
        assert desk.heard_in_full("nobody is here")


async def test_a_mesh_that_goes_in_the_middle_of_a_call_does_not_leave_the_caller_in_silence() -> None:
    async with (
        serve_scripted(ScriptedAgent(echo)) as address,
        tcp_relay(address) as relay,
        voice_desk(relay.address, settings()) as desk,
    ):
        await desk.hears("hello")
        await desk.say("one")
        await desk.hears("you said one.")
        relay.cut()
        await desk.hears("nobody is here")
        assert (await desk.ends()).end is CallEnd.GAVE_UP


@asynccontextmanager
async def call_over_relay(agent: ScriptedAgent) -> AsyncIterator[tuple[Desk, TcpRelay]]:
    async with (
        serve_scripted(agent) as address,
        tcp_relay(address) as relay,
        voice_desk(relay.address, settings()) as desk,
    ):
        await desk.hears("hello")
        yield desk, relay


async def test_an_answer_goes_on_where_its_stream_broke_and_nothing_is_said_twice() -> None:
    agent, back = ScriptedAgent(echo), asyncio.Event()
    async with call_over_relay(agent) as (desk, relay):
        desk.watching.at_mesh_back = back.set

        async def loses_the_line(_turn: TurnRequest, emit: Emit) -> None:
            await emit(TextDelta("first part. "))
            relay.drop()
            await emit(TextDelta("second part. "))
            await back.wait()
            await emit(TextDelta("third part."))

        agent.script = loses_the_line
        await desk.say("one")
        await desk.hears("third part.")
        assert desk.watching.spoken == ["hello", "first part.", "second part.", "third part."]
        assert desk.watching.resumed == [True]
        assert [each.message.text for each in agent.asked] == ["one"]


async def test_what_a_caller_says_while_the_mesh_is_away_is_answered_once_it_is_back() -> None:
    agent = ScriptedAgent(echo)
    async with call_over_relay(agent) as (desk, relay):
        await desk.say("one")
        await desk.hears("you said one.")
        relay.refuses = True
        relay.drop()
        await desk.say("two")
        await desk.phone.until(lambda: "two" in desk.watching.asked_texts)
        relay.refuses = False
        await desk.hears("you said two.")
        assert desk.watching.resumed == [True]
        assert [each.message.text for each in agent.asked] == ["one", "two"]


async def test_a_caller_who_waits_for_a_mesh_that_is_away_is_asked_to_hold_the_line() -> None:
    agent = ScriptedAgent(echo)
    async with call_over_relay(agent) as (desk, relay):

        async def loses_the_line(_turn: TurnRequest, _emit: Emit) -> None:
            relay.refuses = True
            relay.drop()

        agent.script = loses_the_line
        await desk.say("one")
        await desk.hears("hold on")


async def test_a_question_is_asked_again_where_its_session_is_gone() -> None:
    agent, other = ScriptedAgent(echo), ScriptedAgent(echo)
    async with call_over_relay(agent) as (desk, relay), serve_scripted(other) as elsewhere:

        async def loses_the_session(_turn: TurnRequest, _emit: Emit) -> None:
            relay.target = elsewhere
            relay.drop()
            await asyncio.Event().wait()

        agent.script = loses_the_session
        await desk.say("one")
        await desk.hears("you said one.")
        assert desk.watching.resumed == [False]
        [first], [second] = agent.asked, other.asked
        assert (first.message.text, first.conversation_id) == (second.message.text, second.conversation_id)


async def test_an_answer_that_was_cut_off_with_its_session_is_apologised_for() -> None:
    agent, other = ScriptedAgent(speaks_for_long_and_never_ends), ScriptedAgent(echo)
    async with call_over_relay(agent) as (desk, relay), serve_scripted(other) as elsewhere:
        await desk.say("one")
        await desk.hears(f"{LONG}.")
        relay.target = elsewhere
        relay.drop()
        await desk.hears("sorry")
        assert not other.asked


async def test_a_mesh_that_breaks_off_every_stream_is_given_up() -> None:
    async with call_over_relay(ScriptedAgent(echo)) as (desk, relay):
        await desk.say("one")
        await desk.hears("you said one.")
        desk.watching.at_mesh_back = relay.drop
        relay.drop()
        await desk.hears("nobody is here")
        assert (await desk.ends()).end is CallEnd.GAVE_UP
        assert set(desk.watching.resumed) == {True}


@pytest.mark.parametrize("engine", ["recogniser", "synthesiser"])
async def test_a_speech_engine_that_fails_does_not_leave_the_caller_in_silence(engine: str) -> None:
    async with call(echo) as (desk, _):
        getattr(desk, engine).fails = True
        await desk.say("one")
        await desk.hears("nobody is here")
        assert (await desk.ends()).end is CallEnd.GAVE_UP


async def test_one_call_too_many_is_given_back_at_once() -> None:
    async with serve_scripted(ScriptedAgent(echo)) as address, voice_desk(address, settings(), max_calls=1) as desk:
        await desk.hears("hello")
        async with phone_call(desk.address) as second:
            await second.until(second.hung_up.is_set)
            assert second.said_goodbye


async def test_what_does_not_begin_with_a_call_is_no_call() -> None:
    async with serve_scripted(ScriptedAgent(echo)) as address, voice_desk(address, settings()) as desk:
        host, _, port = desk.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(Frame(Kind.AUDIO_8K, speech(20)).to_bytes())
        assert await asyncio.wait_for(reader.read(), 5) == Frame(Kind.HANGUP).to_bytes()
        writer.close()
        await writer.wait_closed()


async def test_frames_go_out_every_20_ms_by_an_absolute_clock() -> None:
    async with call(echo) as (desk, _):
        await desk.say("one")
        await desk.hears("you said one.")
        times = desk.phone.record.heard.times
        took = times[-1] - times[0]
        assert len(times) - 1 == pytest.approx(took / 0.02, abs=8)


async def test_the_longest_call_ends() -> None:
    async with call(echo, replace(settings(), longest_call=timedelta(seconds=1))) as (desk, _):
        assert (await desk.ends()).end is CallEnd.HUNG_UP


async def test_a_recording_pauses_for_what_is_sensitive_and_where_an_agent_says_so() -> None:
    async def asks(turn: TurnRequest, emit: Emit) -> None:
        match turn.message.text:
            case "card":
                await emit(InputSpec(sensitive=True))
            case "secret":
                await emit(Recording(paused=True))
                await emit(InputSpec())
            case "public":
                await emit(Recording(paused=False))
        await emit(TextDelta(f"heard {turn.message.text}."))

    async with call(asks) as (desk, _):
        for text in ("card", "secret", "public"):
            await desk.say(text)
            await desk.hears(f"heard {text}.")
        # From sensitive input to a pause that was asked for there is no gap.
        assert desk.watching.recordings == [True, False]


async def test_calls_are_counted() -> None:
    metrics, watching = CallMetrics(), Watching()
    calls = MeteredCalls(metrics, watching)
    calls.began("1")
    assert metrics.registry.get_sample_value("lmos_active_calls") == 1
    calls.responded("1", timedelta(milliseconds=650))
    calls.interrupted("1", timedelta(milliseconds=90))
    calls.asked_again("1", SignalKind.NO_MATCH)
    calls.recording("1", paused=True)
    calls.recording("1", paused=False)
    calls.late("1", timedelta(milliseconds=30))
    calls.mesh_lost("1")
    calls.mesh_back("1", resumed=True)
    calls.engine_failed("1", "recogniser")
    calls.ended("1", CallResult(CallEnd.TRANSFERRED, "people"))
    expected = {
        "lmos_active_calls": 0,
        "lmos_call_voice_to_voice_seconds_sum": 0.65,
        "lmos_call_barge_in_seconds_sum": 0.09,
        "lmos_call_recording_pauses_total": 1,
        "lmos_call_mesh_lost_total": 1,
        "lmos_call_late_frames_total": 1,
    }
    assert {name: metrics.registry.get_sample_value(name) for name in expected} == expected
    labelled = {
        "lmos_calls_total": {"end": "transferred"},
        "lmos_call_reprompts_total": {"why": "no match"},
        "lmos_call_mesh_back_total": {"session": "resumed"},
        "lmos_call_engine_failures_total": {"engine": "recogniser"},
    }
    assert {metrics.registry.get_sample_value(name, labels) for name, labels in labelled.items()} == {1}
    assert [each.end for each in watching.results] == [CallEnd.TRANSFERRED]
