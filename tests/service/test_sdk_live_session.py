"""What the author of an agent can do in a live session, over real gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos.agent.v1 import agent_event_pb2 as event_pb
from lmos.agent.v1 import live_session_pb2 as live_pb

from lmos_grpc import Agent, AgentSettings, serve_agent
from tests.fakes.live_caller import live_caller, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc import EventBody, Turn


def desk() -> Agent:
    agent = Agent("desk-agent", version="1.0.0", description="Answers the telephone.")

    @agent.capability("answer-call", version="1.0.0")
    async def answer_call(turn: Turn) -> AsyncIterator[str | EventBody]:
        if turn.signal:
            yield turn.say("Are you still there?", interruptible=False)
        elif turn.transfer_result:
            yield f"Nobody is free: {turn.transfer_result.outcome.value}."
        elif turn.digits:
            yield turn.pause_recording()
            yield turn.filler("One moment.")
            yield f"{len(turn.digits)} keys, kept secret: {turn.sensitive}."
            yield turn.resume_recording()
            yield turn.expect_speech()
        elif "person" in turn.text:
            yield turn.transfer("+4930123", summary="wants a person")
        elif "heard" in turn.text:
            yield turn.heard.text if turn.heard else "I do not know."
        else:
            caller = turn.telephone.from_number if turn.telephone else "?"
            yield turn.ask_digits(length=8, sensitive=True)
            yield f"Hello {caller}, your number please."

    return agent


async def test_an_agent_asks_for_keys_fills_the_time_and_transfers_the_call() -> None:
    async with serve_agent(desk(), AgentSettings(mesh=None)) as served, live_caller(served.address) as caller:
        call = live_pb.CallInfo(**{"from": "+49171"})  # type: ignore[arg-type] # a keyword of Python
        await caller.start(conversation_id="c", call=call)
        asked = await caller.ask("hello", "t1")
        spec = next(each.input_spec for each in asked if each.HasField("input_spec"))
        assert (spec.dtmf.length, spec.sensitive) == (8, True)
        assert text_of(asked) == "Hello +49171, your number please."
        await caller.keys("12345678")
        pressed = await caller.hear_until("turn_done")
        said = [each.WhichOneof("event") for each in pressed]
        assert said == [
            *("accepted", "recording", "prompt", "text_delta", "recording", "input_spec", "message", "turn_done")
        ]
        assert text_of(pressed) == "8 keys, kept secret: True."
        assert pressed[2].prompt.kind == live_pb.PROMPT_KIND_FILLER
        transferred = await caller.ask("a person please")
        assert transferred[-1].turn_done.outcome == event_pb.OUTCOME_TRANSFERRED
        await caller.say(transfer_result=live_pb.TransferResult(outcome=live_pb.TRANSFER_OUTCOME_BUSY))
        assert text_of(await caller.hear_until("turn_done")) == "Nobody is free: busy."


async def test_an_agent_is_told_of_silence_and_of_what_was_heard() -> None:
    async with serve_agent(desk(), AgentSettings(mesh=None)) as served, live_caller(served.address) as caller:
        await caller.start(conversation_id="c")
        await caller.say(signal=live_pb.Signal(kind=live_pb.SIGNAL_KIND_NO_INPUT, count=1, turn_id="t1"))
        heard = await caller.hear_until("turn_done")
        prompt = next(each.prompt for each in heard if each.HasField("prompt"))
        assert (prompt.text, prompt.interruptible) == ("Are you still there?", False)
        assert text_of(await caller.ask("what have I heard")) == "I do not know."
        await caller.say(
            playback=live_pb.Playback(
                state=live_pb.PLAYBACK_STATE_INTERRUPTED, turn_id=heard[0].turn_id, heard_text="Are you"
            )
        )
        await caller.ask("person", "t3")
        await caller.say(
            playback=live_pb.Playback(state=live_pb.PLAYBACK_STATE_COMPLETED, turn_id="t3", heard_text="all of it")
        )
        assert text_of(await caller.ask("what have I heard")) == "all of it"


async def test_an_agent_that_knows_only_turns_sees_none_of_it() -> None:
    agent = Agent("plain-agent", version="1.0.0", description="Echoes.")

    @agent.capability("echo", version="1.0.0")
    async def echo(turn: Turn) -> str:
        return f"{turn.text} {turn.heard} {turn.digits} {turn.signal} {turn.transfer_result}"

    async with serve_agent(agent, AgentSettings(mesh=None)) as served, live_caller(served.address) as caller:
        await caller.start()
        assert text_of(await caller.ask("hi")) == "hi None  None None"
        await caller.keys("47")
        assert text_of(await caller.hear_until("turn_done")) == "47 None 47 None None"
