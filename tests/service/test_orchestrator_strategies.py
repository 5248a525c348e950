"""Quorum, best and hedged turns with real agents over real gRPC."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.domain.decision import Candidate
from lmos_grpc.domain.event import Failure, Handover, Outcome, Status, TextDelta, TurnDone, Usage
from lmos_grpc.domain.failure import Reason
from lmos_grpc.domain.turn import Message, Strategy, StrategyKind, TurnRequest
from lmos_grpc.errors import ModelUnavailableError
from lmos_grpc.orchestrator import OrchestratorSettings, open_model_judge
from tests.fakes.model_server import ModelServer, serve_model
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
    from collections.abc import Sequence
    from datetime import timedelta

    from lmos_grpc.agent_service import Emit
    from lmos_grpc.domain.decision import Decision
    from lmos_grpc.domain.event import AgentEvent
    from lmos_grpc.orchestrator import JudgedAnswer

LONG = 60 * SECOND


def spread(*names: str, strategy: Strategy, scores: tuple[float, ...] = ()) -> Decision:
    decision = replace(decided(*names), strategy=strategy)
    scored = zip(decision.targets, scores, strict=False)
    candidates = tuple(Candidate(each.agent, each.version, each.capability, score=score) for each, score in scored)
    return replace(decision, candidates=candidates)


def outcomes(events: list[AgentEvent]) -> dict[str, Outcome]:
    return {each.source.agent: each.outcome for each in done(events).branches}


async def test_a_quorum_of_answers_ends_the_turn_and_cancels_who_is_left() -> None:
    left = agent("c", never_ends)
    decision = spread("a", "b", "c", strategy=Strategy(StrategyKind.QUORUM, 2))
    gated = [agent(name, says(f"{name}1 ", f"{name}2", gate=left.started)) for name in ("a", "b")]
    async with mesh_of(*gated, left, decider=ScriptedDecider(decision)) as client:
        events = await ask(client)
        await asyncio.wait_for(left.cancelled.wait(), 5)
    assert [text_of(events, name) for name in ("a", "b", "c")] == ["a1 a2", "b1 b2", ""]
    assert done(events).outcome is Outcome.COMPLETED
    assert outcomes(events) == {"a": Outcome.COMPLETED, "b": Outcome.COMPLETED, "c": Outcome.CANCELLED}
    assert {event.source.branch for event in events if isinstance(event.body, TextDelta)} == {1, 2}


async def test_a_quorum_that_cannot_be_reached_any_more_ends_the_turn_at_once() -> None:
    left = agent("c", never_ends)

    async def breaks_later(_: TurnRequest, __: Emit) -> None:
        await left.started.wait()
        raise ZeroDivisionError

    decision = spread("b", "c", strategy=Strategy(StrategyKind.QUORUM, 2))
    async with mesh_of(agent("b", breaks_later), left, decider=ScriptedDecider(decision)) as client:
        events = await ask(client, timeout=LONG)
        await asyncio.wait_for(left.cancelled.wait(), 5)
    assert done(events).outcome is Outcome.FAILED
    assert outcomes(events) == {"b": Outcome.FAILED, "c": Outcome.CANCELLED}


async def test_a_quorum_that_too_few_fit_fails_before_anybody_is_asked() -> None:
    only = agent("a")
    decision = spread("a", strategy=Strategy(StrategyKind.QUORUM, 2))
    async with mesh_of(only, decider=ScriptedDecider(decision)) as client:
        events = await ask(client, timeout=LONG)
    failure = events[-2].body
    assert isinstance(failure, Failure)
    assert failure.detail.reason is Reason.NO_BRANCH_ANSWERED
    assert failure.detail.message == "2 answers are needed, and no more than 1 can come"
    assert done(events) == TurnDone(Outcome.FAILED)
    assert not only.asked


async def test_an_agent_that_ends_without_a_word_is_no_answer() -> None:
    decision = spread("a", "b", strategy=Strategy(StrategyKind.QUORUM, 1))
    async with mesh_of(agent("a", says()), agent("b", says()), decider=ScriptedDecider(decision)) as client:
        events = await ask(client)
    assert done(events).outcome is Outcome.FAILED


async def test_best_gives_the_answer_of_the_agent_that_fits_best_and_nothing_of_the_others() -> None:
    async def thinks(_: TurnRequest, emit: Emit) -> None:
        await emit(Status("thinking"))
        await emit(TextDelta("b1 "))
        await emit(TextDelta("b2"))
        await emit(TurnDone(Outcome.COMPLETED, Usage("m", 1, 2)))

    decision = spread("a", "b", "c", strategy=Strategy(StrategyKind.BEST), scores=(0.6, 0.9, 0.95))
    agents = agent("a"), agent("b", thinks), agent("c", breaks)
    async with mesh_of(*agents, decider=ScriptedDecider(decision)) as client:
        events = await ask(client)
    assert [event.source.agent for event in events] == ["", "", "b", "b", "b", ""]
    assert text_of(events, "b") == "b1 b2"
    assert done(events).outcome is Outcome.COMPLETED
    assert done(events).usage.output_tokens == 2
    assert outcomes(events) == {"a": Outcome.COMPLETED, "b": Outcome.COMPLETED, "c": Outcome.FAILED}


async def test_a_branch_that_hands_over_is_one_answer_of_both() -> None:
    async def hands_over(_: TurnRequest, emit: Emit) -> None:
        await emit(TextDelta("a, then "))
        await emit(Handover(agent="d"))
        await emit(TurnDone(Outcome.HANDED_OVER))

    decision = spread("a", "b", strategy=Strategy(StrategyKind.BEST), scores=(0.9, 0.5))
    agents = agent("a", hands_over), agent("b"), agent("d")
    async with mesh_of(*agents, decider=ScriptedDecider(decision)) as client:
        events = await ask(client)
    said = [(each.source.agent, each.source.branch) for each in events if isinstance(each.body, TextDelta)]
    assert said == [("a", 1), ("d", 1)]
    assert outcomes(events) == {"d": Outcome.COMPLETED, "b": Outcome.COMPLETED}


async def test_best_is_judged_when_the_time_of_the_branches_is_up() -> None:
    slow = agent("b", never_ends)
    strategy = Strategy(StrategyKind.BEST, branch_budget=SECOND / 2)
    decision = spread("a", "b", strategy=strategy, scores=(0.5, 0.9))
    async with mesh_of(agent("a"), slow, decider=ScriptedDecider(decision)) as client:
        events = await ask(client, timeout=LONG)
    assert text_of(events, "a") == "a"
    assert done(events).outcome is Outcome.COMPLETED
    assert outcomes(events)["b"] is Outcome.FAILED


async def test_best_fails_when_no_answer_is_good() -> None:
    decision = spread("a", "b", strategy=Strategy(StrategyKind.BEST))
    async with mesh_of(agent("a", breaks), agent("b", says()), decider=ScriptedDecider(decision)) as client:
        events = await ask(client)
    assert done(events).outcome is Outcome.FAILED
    failure = events[-2].body
    assert isinstance(failure, Failure)
    assert failure.detail.message == "none of the agents answered: a, b"


async def test_who_says_more_than_is_held_back_is_cancelled_and_out() -> None:
    sent = 0

    async def floods(_: TurnRequest, emit: Emit) -> None:
        nonlocal sent
        while True:
            await emit(TextDelta("x" * 10_000))
            sent += 1

    flood = agent("b", floods)
    decision = spread("a", "b", strategy=Strategy(StrategyKind.BEST), scores=(0.5, 0.9))
    settings = OrchestratorSettings(most_held_bytes=100_000)
    async with mesh_of(agent("a"), flood, decider=ScriptedDecider(decision), settings=settings) as client:
        events = await ask(client, timeout=LONG)
        await asyncio.wait_for(flood.cancelled.wait(), 5)
    assert text_of(events, "a") == "a"
    assert text_of(events, "b") == ""
    lost = done(events).branches[1]
    assert lost.error is not None
    assert (lost.outcome, lost.error.reason) == (Outcome.FAILED, Reason.MESSAGE_TOO_LARGE)
    assert "b said more than the 100,000 bytes" in lost.error.message


async def test_a_slow_caller_gets_the_whole_best_answer() -> None:
    async def talks(_: TurnRequest, emit: Emit) -> None:
        for number in range(600):
            await emit(TextDelta(f"{number} " + "x" * 2_000))

    decision = spread("a", "b", strategy=Strategy(StrategyKind.BEST), scores=(0.9, 0.5))
    async with mesh_of(agent("a", talks), agent("b"), decider=ScriptedDecider(decision)) as client:
        events = client.invoke(TurnRequest(Message.from_user("hi")), timeout=LONG)
        seen = [await anext(events) for _ in range(3)]
        await asyncio.sleep(0.2)  # as long as an outlet without bound would need to be filled
        seen += [event async for event in events]
    said = [event.body.text.split()[0] for event in seen if isinstance(event.body, TextDelta)]
    assert said == [str(number) for number in range(600)]


@dataclass
class ScriptedJudge:
    """Chooses as the test says; it fails, or never ends, where it says so."""

    chooses: int = 0
    fails: bool = False
    hangs: bool = False
    limit: timedelta = SECOND / 4
    seen: list[JudgedAnswer] = field(default_factory=list)

    async def best(self, _: TurnRequest, answers: Sequence[JudgedAnswer], /) -> int:
        self.seen = list(answers)
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails:
            raise ModelUnavailableError("no")
        return self.chooses


@pytest.mark.parametrize(
    ("judge", "best"),
    [
        (ScriptedJudge(1), "b"),
        (ScriptedJudge(0), "a"),
        (ScriptedJudge(fails=True), "a"),
        (ScriptedJudge(hangs=True), "a"),
        (ScriptedJudge(2), "a"),
        (ScriptedJudge(-1), "a"),
    ],
    ids=["second", "first", "fails", "hangs", "nobody", "below"],
)
async def test_a_judge_chooses_and_where_it_does_not_the_scores_do(judge: ScriptedJudge, best: str) -> None:
    decision = spread("a", "b", "c", strategy=Strategy(StrategyKind.BEST), scores=(0.9, 0.5, 0.99))
    agents = agent("a", says("an ", "answer")), agent("b"), agent("c", breaks)
    async with mesh_of(*agents, decider=ScriptedDecider(decision), judge=judge) as client:
        events = await ask(client, timeout=LONG)
    assert {event.source.agent for event in events} == {"", best}
    # Who has no good answer does not stand to choice.
    assert [(each.source.agent, each.text, each.score) for each in judge.seen] == [
        ("a", "an answer", 0.9),
        ("b", "b", 0.5),
    ]


@pytest.mark.parametrize(
    ("server", "best"),
    [
        (ModelServer(pieces=("2",)), "b"),
        (ModelServer(pieces=(" 1", ".\n")), "a"),
        (ModelServer(pieces=("Answer b, of course",)), "a"),
        (ModelServer(pieces=("3",)), "a"),
        (ModelServer(status=500), "a"),
        (ModelServer(pieces=("2",), hold=True), "a"),
    ],
    ids=["second", "first", "prose", "nobody", "down", "slow"],
)
async def test_a_model_judges_and_where_it_does_not_the_scores_do(server: ModelServer, best: str) -> None:
    decision = spread("a", "b", strategy=Strategy(StrategyKind.BEST), scores=(0.9, 0.5))
    async with (
        serve_model(server),
        open_model_judge(model="tiny", base_url=server.base_url, limit=SECOND) as judge,
        mesh_of(agent("a"), agent("b"), decider=ScriptedDecider(decision), judge=judge) as client,
    ):
        events = await ask(client, timeout=LONG)
    assert {event.source.agent for event in events} == {"", best}
    [asked] = server.asked
    assert asked.body["messages"][1]["content"] == "The customer asks:\nhi\n\nAnswer 1:\na\n\nAnswer 2:\nb"


async def test_where_the_first_is_slow_the_next_steps_in_and_wins() -> None:
    slow = agent("a", never_ends)
    decision = spread("a", "b", "c", strategy=Strategy(StrategyKind.ONE, hedge_delay=SECOND / 5))
    third = agent("c", never_ends)
    async with mesh_of(slow, agent("b"), third, decider=ScriptedDecider(decision)) as client:
        events = await ask(client, timeout=LONG)
        await asyncio.wait_for(slow.cancelled.wait(), 5)
    assert {event.source.agent for event in events} == {"", "b"}
    assert done(events).outcome is Outcome.COMPLETED
    assert (outcomes(events)["a"], outcomes(events)["b"]) == (Outcome.CANCELLED, Outcome.COMPLETED)


async def test_where_the_first_fails_the_next_steps_in_at_once() -> None:
    decision = spread("a", "b", strategy=Strategy(StrategyKind.ONE, hedge_delay=LONG))
    async with mesh_of(agent("a", breaks), agent("b"), decider=ScriptedDecider(decision)) as client:
        events = await ask(client, timeout=10 * SECOND)
    assert text_of(events, "b") == "b"
    assert outcomes(events) == {"a": Outcome.FAILED, "b": Outcome.COMPLETED}


async def test_where_the_first_is_quick_nobody_else_is_asked() -> None:
    second = agent("b")
    decision = spread("a", "b", strategy=Strategy(StrategyKind.ONE, hedge_delay=LONG))
    async with mesh_of(agent("a"), second, decider=ScriptedDecider(decision)) as client:
        events = await ask(client)
    assert outcomes(events) == {"a": Outcome.COMPLETED}
    assert not second.asked


async def test_a_hedged_turn_ends_with_its_budget_and_says_so() -> None:
    strategy = Strategy(StrategyKind.ONE, hedge_delay=SECOND / 10, turn_budget=SECOND / 2)
    agents = [agent(name, never_ends) for name in ("a", "b")]
    async with mesh_of(*agents, decider=ScriptedDecider(spread("a", "b", strategy=strategy))) as client:
        events = await ask(client, timeout=LONG)
    assert done(events).outcome is Outcome.FAILED
    late = [each.error.reason for each in done(events).branches if each.error]
    assert late == [Reason.DEADLINE_EXCEEDED] * 2


@pytest.mark.parametrize(
    "strategy",
    [
        Strategy(StrategyKind.QUORUM, 2),
        Strategy(StrategyKind.BEST),
        Strategy(StrategyKind.FIRST),
        Strategy(StrategyKind.ONE, hedge_delay=SECOND / 20),
    ],
    ids=lambda strategy: strategy.kind.value,
)
async def test_cancelling_the_turn_cancels_every_branch_that_was_begun(strategy: Strategy) -> None:
    agents = [agent(name, never_ends) for name in ("a", "b", "c")]
    decision = spread("a", "b", "c", strategy=strategy)
    async with mesh_of(*agents, decider=ScriptedDecider(decision)) as client:
        events = client.invoke(TurnRequest(Message.from_user("hi")), timeout=LONG)
        for _ in range(2):
            await anext(events)
        await asyncio.wait_for(asyncio.gather(*(each.started.wait() for each in agents)), 5)
        await events.aclose()
        await asyncio.wait_for(asyncio.gather(*(each.cancelled.wait() for each in agents)), 5)
