"""Managed turns with real agents over real gRPC: one agent, several at once, and a race."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.domain.event import (
    Failure,
    Outcome,
    Routed,
    Status,
    TextDelta,
    TurnDone,
    Usage,
)
from lmos_grpc.domain.failure import Reason
from lmos_grpc.domain.turn import Message, StrategyKind, TurnRequest
from tests.fakes.scripted_mesh import (
    SECOND,
    ScriptedDecider,
    agent,
    ask,
    breaks,
    decided,
    done,
    mesh_of,
    never_ends,
    says,
    text_of,
)

if TYPE_CHECKING:
    from lmos_grpc.agent_service import Emit


async def test_one_agent_answers_and_the_decision_is_told_first() -> None:
    async with mesh_of(agent("a", says("one ", "two")), decider=ScriptedDecider(decided("a"))) as client:
        events = await ask(client)
    routed = events[1].body
    assert isinstance(routed, Routed)
    assert routed.decision.targets[0].agent == "a"
    assert text_of(events, "a") == "one two"
    assert done(events).outcome is Outcome.COMPLETED


async def test_the_agent_is_told_which_capability_is_asked_for() -> None:
    asked = agent("a")
    async with mesh_of(asked, decider=ScriptedDecider(decided("a"))) as client:
        await ask(client)
    assert asked.asked[0].hint.capability == "greet"


async def test_all_merges_the_streams_and_each_event_says_where_it_comes_from() -> None:
    agents = [agent(name, says(f"{name}1 ", f"{name}2")) for name in ("a", "b", "c")]
    async with mesh_of(*agents, decider=ScriptedDecider(decided("a", "b", "c", kind=StrategyKind.ALL))) as client:
        events = await ask(client)
    assert [text_of(events, name) for name in ("a", "b", "c")] == ["a1 a2", "b1 b2", "c1 c2"]
    assert {event.source.branch for event in events if isinstance(event.body, TextDelta)} == {1, 2, 3}
    assert [each.outcome for each in done(events).branches] == [Outcome.COMPLETED] * 3


async def test_each_branch_gets_its_part_of_the_message() -> None:
    a, b = agent("a"), agent("b")
    decision = decided("a", "b", kind=StrategyKind.ALL)
    targets = tuple(replace(target, text=f"for {target.agent}") for target in decision.targets)
    async with mesh_of(a, b, decider=ScriptedDecider(replace(decision, targets=targets))) as client:
        await ask(client)
    assert [each.asked[0].message.text for each in (a, b)] == ["for a", "for b"]


async def test_one_failing_branch_does_not_spoil_the_others() -> None:
    decider = ScriptedDecider(decided("a", "b", kind=StrategyKind.ALL))
    async with mesh_of(agent("a"), agent("b", breaks), decider=decider) as client:
        events = await ask(client)
    assert text_of(events, "a") == "a"
    assert done(events).outcome is Outcome.PARTIAL
    failed = done(events).branches[1]
    assert failed.error is not None
    assert (failed.outcome, failed.error.reason) == (Outcome.FAILED, Reason.AGENT_FAILED)


async def test_when_all_branches_fail_the_turn_fails() -> None:
    decider = ScriptedDecider(decided("a", "b", kind=StrategyKind.ALL))
    async with mesh_of(agent("a", breaks), agent("b", breaks), decider=decider) as client:
        events = await ask(client)
    assert done(events).outcome is Outcome.FAILED
    failure = events[-2].body
    assert isinstance(failure, Failure)
    assert failure.detail.reason is Reason.NO_BRANCH_ANSWERED


async def test_at_the_deadline_what_has_arrived_is_delivered_as_partial() -> None:
    decider = ScriptedDecider(decided("a", "b", kind=StrategyKind.ALL))
    slow = agent("b", never_ends)
    async with mesh_of(agent("a"), slow, decider=decider) as client:
        events = await ask(client, timeout=SECOND)
        await asyncio.wait_for(slow.cancelled.wait(), 5)
    assert text_of(events, "a") == "a"
    assert done(events).outcome is Outcome.PARTIAL
    late = done(events).branches[1].error
    assert late is not None
    assert late.reason is Reason.DEADLINE_EXCEEDED


async def test_a_branch_may_not_take_longer_than_its_budget() -> None:
    decider = ScriptedDecider(decided("a", "b", kind=StrategyKind.ALL, budget=SECOND / 5))
    async with mesh_of(agent("a"), agent("b", never_ends), decider=decider) as client:
        events = await ask(client, timeout=60 * SECOND)
    assert done(events).outcome is Outcome.PARTIAL


async def test_first_lets_the_first_answer_win_and_cancels_the_others() -> None:
    loser = agent("a", never_ends)
    decider = ScriptedDecider(decided("a", "b", kind=StrategyKind.FIRST))
    winner = agent("b", says("b1 ", "b2", gate=loser.started))
    async with mesh_of(loser, winner, decider=decider) as client:
        events = await ask(client)
        await asyncio.wait_for(loser.cancelled.wait(), 5)
    assert text_of(events, "b") == "b1 b2"
    assert [each.outcome for each in done(events).branches] == [Outcome.CANCELLED, Outcome.COMPLETED]


async def test_first_is_not_won_by_a_branch_that_fails() -> None:
    gate = asyncio.Event()

    async def breaks_and_opens(_: TurnRequest, emit: Emit) -> None:
        await emit(Status("thinking"))
        gate.set()
        raise ZeroDivisionError

    decider = ScriptedDecider(decided("a", "b", kind=StrategyKind.FIRST))
    async with mesh_of(agent("a", breaks_and_opens), agent("b", says("b", gate=gate)), decider=decider) as client:
        events = await ask(client)
    assert text_of(events, "b") == "b"
    assert done(events).outcome is Outcome.COMPLETED
    assert not any(isinstance(event.body, Failure | Status) for event in events)


async def test_first_fails_when_nobody_answers() -> None:
    decider = ScriptedDecider(decided("a", "b", kind=StrategyKind.FIRST))
    async with mesh_of(agent("a", breaks), agent("b", breaks), decider=decider) as client:
        assert done(await ask(client)).outcome is Outcome.FAILED


async def test_cancelling_the_turn_cancels_every_branch() -> None:
    agents = [agent(name, never_ends) for name in ("a", "b", "c")]
    async with mesh_of(*agents, decider=ScriptedDecider(decided("a", "b", "c", kind=StrategyKind.ALL))) as client:
        events = client.invoke(TurnRequest(Message.from_user("hi")), timeout=10 * SECOND)
        for _ in range(2):
            await anext(events)
        await asyncio.wait_for(asyncio.gather(*(each.started.wait() for each in agents)), 5)
        await events.aclose()
        await asyncio.wait_for(asyncio.gather(*(each.cancelled.wait() for each in agents)), 5)


async def test_a_slow_caller_slows_the_agents_down() -> None:
    sent = 0

    async def floods(_: TurnRequest, emit: Emit) -> None:
        nonlocal sent
        for _chunk in range(4_000):
            await emit(TextDelta("x" * 10_000))
            sent += 1

    decider = ScriptedDecider(decided("a", "b", kind=StrategyKind.ALL))
    async with mesh_of(agent("a", floods), agent("b", floods), decider=decider) as client:
        events = client.invoke(TurnRequest(Message.from_user("hi")), timeout=20 * SECOND)
        await anext(events)
        before = -1
        async with asyncio.timeout(15):
            while sent != before:
                before = sent
                await asyncio.sleep(0.3)  # as long as a flood would need to go on
        await events.aclose()
    assert 0 < sent < 4_000


@pytest.mark.parametrize("names", [("a",), ("a", "b")])
async def test_a_caller_that_was_slow_gets_all_of_it(names: tuple[str, ...]) -> None:
    pieces = 1_500
    sent = 0

    async def floods(_: TurnRequest, emit: Emit) -> None:
        nonlocal sent
        for number in range(pieces):
            await emit(TextDelta(f"{number} " + "x" * 10_000))
            sent += 1

    decider = ScriptedDecider(decided(*names, kind=StrategyKind.ALL))
    async with mesh_of(*(agent(name, floods) for name in names), decider=decider) as client:
        events = client.invoke(TurnRequest(Message.from_user("hi")), timeout=30 * SECOND)
        seen = [await anext(events)]
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.2)  # as long as a flood would need to go on
        assert sent < pieces * len(names)
        seen += [event async for event in events]
    assert [event.sequence for event in seen] == list(range(1, len(seen) + 1))
    for name in names:
        said = [
            event.body.text.split()[0] for event in seen if event.source.agent == name and hasattr(event.body, "text")
        ]
        assert said == [str(number) for number in range(pieces)]


async def test_usage_of_all_branches_is_added_up() -> None:
    async def uses(_: TurnRequest, emit: Emit) -> None:
        await emit(TurnDone(Outcome.COMPLETED, Usage("m", 10, 20)))

    decider = ScriptedDecider(decided("a", "b", kind=StrategyKind.ALL))
    async with mesh_of(agent("a", uses), agent("b", uses), decider=decider) as client:
        usage = done(await ask(client)).usage
    assert (usage.model, usage.input_tokens, usage.output_tokens) == ("m", 20, 40)


async def test_two_branches_may_lead_to_the_same_agent() -> None:
    async def repeats(turn: TurnRequest, emit: Emit) -> None:
        await emit(TextDelta(f"[{turn.message.text}]"))

    decision = decided("a", "a", kind=StrategyKind.ALL)
    targets = tuple(replace(target, text=text) for target, text in zip(decision.targets, ("x", "y"), strict=True))
    async with mesh_of(agent("a", repeats), decider=ScriptedDecider(replace(decision, targets=targets))) as client:
        events = await ask(client)
    assert sorted(event.body.text for event in events if isinstance(event.body, TextDelta)) == ["[x]", "[y]"]
    assert done(events).outcome is Outcome.COMPLETED
    assert {event.turn_id for event in events} == {"t"}
