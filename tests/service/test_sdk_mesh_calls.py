"""`turn.call`: an agent asks another one through the mesh, for which a scripted agent stands here."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lmos_grpc import (
    Agent,
    AgentSettings,
    Clarification,
    MeshClient,
    Message,
    Outcome,
    Status,
    TextDelta,
    TurnDone,
    Usage,
    User,
    serve_agent,
)
from lmos_grpc.domain.event import ClarificationOption, Failure, MessageDone
from lmos_grpc.domain.turn import Role, StrategyKind, TextPart
from lmos_grpc.errors import AgentFailedError, QuotaExceededError, UnknownAgentError
from tests.fakes.plain_agent import PlainAgent, serving
from tests.fakes.scripted_agent import ScriptedAgent, serve_scripted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc import EventBody, Turn
    from lmos_grpc.agent_service import Emit
    from lmos_grpc.domain.turn import TurnRequest

LIMIT = timedelta(seconds=10)
CONCIERGE = Agent("concierge", version="1.0.0")


@CONCIERGE.capability("help", version="1.0.0")
async def help_out(turn: Turn) -> AsyncIterator[str | EventBody]:
    """Asks twice and passes everything on."""
    async for piece in turn.call(f"first: {turn.text}", capability="explain-bill"):
        yield piece
    async for piece in turn.call("second", agent="orders-agent"):
        yield piece


@CONCIERGE.capability("ask-once", version="1.0.0")
async def ask_once(turn: Turn) -> AsyncIterator[str | EventBody]:
    """Asks once and passes everything on."""
    async for piece in turn.call(turn.message):
        yield piece


def settings_for(mesh: str) -> AgentSettings:
    return AgentSettings(mesh=mesh, drain_timeout=timedelta(seconds=2))


@asynccontextmanager
async def concierge_over(mesh: ScriptedAgent) -> AsyncIterator[MeshClient]:
    async with (
        serve_scripted(mesh) as address,
        serve_agent(CONCIERGE, settings_for(address)) as served,
        MeshClient(served.address, tenant="acme", channel="ivr", subset="canary") as client,
    ):
        yield client


async def test_a_call_carries_on_for_whom_it_is_and_where_the_turn_has_been() -> None:
    mesh = ScriptedAgent()
    async with concierge_over(mesh) as client:
        # Short, so that the margin of a hop shows: a deadline travels rounded up by a hundredth.
        user, timeout = User("u1", "de"), timedelta(seconds=3)
        text = await client.ask("hi", conversation_id="c1", turn_id="t1", user=user, timeout=timeout)
    first, second = mesh.asked
    assert text == "hello from explain-billhello from nobody"
    assert (first.message.text, second.message.text) == ("first: hi", "second")
    assert (first.hint.capability, second.hint.agent) == ("explain-bill", "orders-agent")
    assert first.hint.strategy.kind is StrategyKind.ONE
    assert first.user == user
    assert (first.context.tenant, first.context.channel, first.context.subset) == ("acme", "ivr", "canary")
    assert first.context.visited == ("concierge",)
    assert (first.conversation_id, first.turn_id, second.turn_id) == (
        "c1.concierge",
        "t1.concierge.1",
        "t1.concierge.2",
    )
    assert mesh.time_left[0] < LIMIT


async def test_ids_that_would_grow_too_long_are_hashed() -> None:
    mesh = ScriptedAgent()
    async with concierge_over(mesh) as client:
        await client.ask("hi", conversation_id="c" * 128, turn_id="t" * 128, timeout=LIMIT)
    first, second = mesh.asked
    assert len({first.turn_id, second.turn_id, first.conversation_id}) == 3
    assert first.conversation_id == second.conversation_id
    assert all(len(each) <= 128 for each in (first.turn_id, first.conversation_id))


async def test_text_and_events_worth_passing_on_come_through_once() -> None:
    async def answer(_: TurnRequest, emit: Emit) -> None:
        await emit(Status("looking", 0.5))
        await emit(TextDelta("one "))
        await emit(TextDelta("two"))
        await emit(MessageDone(Message(Role.AGENT, (TextPart("one two"),))))
        await emit(MessageDone(Message(Role.AGENT, (TextPart(" three"),))))
        await emit(TurnDone(Outcome.COMPLETED, Usage(model="m", input_tokens=7, output_tokens=2)))

    async with concierge_over(ScriptedAgent(answer)) as client:
        events = client.invoke("x", capability="ask-once", timeout=LIMIT)
        bodies = [event.body async for event in events]
    assert bodies[1:5] == [Status("looking", 0.5), TextDelta("one "), TextDelta("two"), TextDelta(" three")]
    done = bodies[-1]
    assert isinstance(done, TurnDone)
    assert (done.usage.model, done.usage.input_tokens, done.usage.output_tokens) == ("m", 7, 2)


async def test_a_question_from_below_can_be_passed_on() -> None:
    question = Clarification("q", "which one?", (ClarificationOption("a", "A"),))

    async def ask(_: TurnRequest, emit: Emit) -> None:
        await emit(question)
        await emit(TurnDone(Outcome.INPUT_REQUIRED))

    async with concierge_over(ScriptedAgent(ask)) as client:
        bodies = [event.body async for event in client.invoke("x", capability="ask-once", timeout=LIMIT)]
    assert bodies[1] == question
    done = bodies[-1]
    assert isinstance(done, TurnDone)
    assert done.outcome is Outcome.INPUT_REQUIRED


async def test_a_turn_that_fails_below_raises_its_error() -> None:
    async def fail(_: TurnRequest, emit: Emit) -> None:
        await emit(TextDelta("so far"))
        raise QuotaExceededError("used up")

    async with concierge_over(ScriptedAgent(fail)) as client:
        with pytest.raises(QuotaExceededError, match="used up"):
            await client.ask("x", capability="ask-once", timeout=LIMIT)


async def test_a_call_that_is_refused_raises_its_error() -> None:
    async with concierge_over(ScriptedAgent(refusal=UnknownAgentError("no such agent"))) as client:
        with pytest.raises(UnknownAgentError, match="no such agent"):
            await client.ask("x", capability="ask-once", timeout=LIMIT)


async def test_a_branch_that_fails_beside_an_answer_is_no_failure_of_the_call() -> None:
    async def answer_in_part(_: TurnRequest, emit: Emit) -> None:
        await emit(Failure(AgentFailedError("one of two").detail))
        await emit(TextDelta("the other"))
        await emit(TurnDone(Outcome.PARTIAL))

    async with concierge_over(ScriptedAgent(answer_in_part)) as client:
        assert await client.ask("x", capability="ask-once", timeout=LIMIT) == "the other"


async def test_cancelling_the_turn_cancels_the_call_below_within_100_ms() -> None:
    async def wait(_: TurnRequest, emit: Emit) -> None:
        await emit(Status("waiting"))
        await asyncio.Event().wait()

    mesh = ScriptedAgent(wait)
    async with concierge_over(mesh) as client:
        took = []
        for _ in range(5):
            mesh.cancelled.clear()
            async with aclosing(client.invoke("x", capability="ask-once", timeout=LIMIT)) as events:
                async for event in events:
                    if isinstance(event.body, Status):
                        break
                left_at = time.monotonic()
            await asyncio.wait_for(mesh.cancelled.wait(), 5)
            took.append(time.monotonic() - left_at)
    assert min(took) < 0.1  # the machine has other work, too


async def test_a_call_belongs_to_the_trace_of_its_turn() -> None:
    async with (
        serving(PlainAgent("mesh")) as mesh,
        serve_agent(CONCIERGE, settings_for(mesh.address)) as served,
        MeshClient(served.address) as client,
    ):
        await client.ask("x", timeout=LIMIT)
    [first, second] = [str(call["traceparent"]) for call in mesh.calls if "x-lmos-visited" in call]
    # version-trace-span-flags: https://www.w3.org/TR/trace-context/#traceparent-header
    assert first.split("-")[1] == second.split("-")[1]
    assert first.split("-")[2] != second.split("-")[2]
