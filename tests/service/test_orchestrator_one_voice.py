"""Fan-out in a live session: the branches work at once, and are heard one after the other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lmos_grpc.domain.event import Outcome, TextDelta
from lmos_grpc.domain.live_session import LiveTurn
from lmos_grpc.domain.turn import Message, StrategyKind, TurnRequest
from tests.fakes.scripted_mesh import SECOND, ScriptedDecider, agent, breaks, decided, done, mesh_of, never_ends, says

if TYPE_CHECKING:
    from lmos_grpc.agent_service import Emit
    from lmos_grpc.clients.agent_client import AgentClient
    from lmos_grpc.domain.event import AgentEvent

LIVE = TurnRequest(Message.from_user("hi"), conversation_id="c", turn_id="t", live=LiveTurn("s"))


def all_of(*names: str) -> ScriptedDecider:
    return ScriptedDecider(decided(*names, kind=StrategyKind.ALL))


async def ask(client: AgentClient) -> list[AgentEvent]:
    return [event async for event in client.invoke(LIVE, timeout=5 * SECOND)]


def voices(events: list[AgentEvent]) -> list[str]:
    return [event.source.agent for event in events if isinstance(event.body, TextDelta)]


async def test_the_branches_are_heard_in_their_order_whoever_is_faster() -> None:
    second_is_done = asyncio.Event()

    async def fast(_: TurnRequest, emit: Emit) -> None:
        for word in ("quick ", "as a ", "flash"):
            await emit(TextDelta(word))
        second_is_done.set()

    slow = agent("slow", says("at ", "last", gate=second_is_done))
    async with mesh_of(slow, agent("fast", fast), decider=all_of("slow", "fast")) as client:
        events = await ask(client)
    assert voices(events) == ["slow"] * 2 + ["fast"] * 3
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert done(events).outcome is Outcome.COMPLETED


async def test_a_branch_that_fails_lets_the_next_one_be_heard() -> None:
    async with mesh_of(
        agent("broken", breaks), agent("whole", says("here")), decider=all_of("broken", "whole")
    ) as client:
        events = await ask(client)
    assert voices(events) == ["whole"]
    assert done(events).outcome is Outcome.PARTIAL


async def test_a_branch_that_says_more_than_can_wait_is_heard_in_full() -> None:
    many, heard_first = 2_000, asyncio.Event()
    first = agent("first", says("now", gate=heard_first))

    async def talks(_: TurnRequest, emit: Emit) -> None:
        for number in range(many):
            await emit(TextDelta(str(number)))
            if number == many // 4:
                heard_first.set()

    async with mesh_of(first, agent("second", talks), decider=all_of("first", "second")) as client:
        events = await ask(client)
    assert voices(events) == ["first"] + ["second"] * many


async def test_cancelling_reaches_the_branch_that_is_not_heard_yet() -> None:
    first, second = agent("first", never_ends), agent("second", never_ends)
    async with mesh_of(first, second, decider=all_of("first", "second")) as client:
        task = asyncio.create_task(ask(client))
        for each in (first, second):
            await asyncio.wait_for(each.started.wait(), 5)
        task.cancel()
        for each in (first, second):
            await asyncio.wait_for(each.cancelled.wait(), 5)
