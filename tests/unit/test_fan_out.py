"""The merge under every strategy: any agents, any order, any failures, any speed, and a cancel at any time.

Everything between the agents' calls and the caller's outlet is real; the time is not.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmos_grpc.agent_service import MeteredRunner, TurnExecutor
from lmos_grpc.clients.live_view import LiveView
from lmos_grpc.conversation import MemoryTurnLog
from lmos_grpc.domain.decision import Decision, DecisionMode, Target
from lmos_grpc.domain.event import Accepted, Failure, Outcome, Routed, TurnDone
from lmos_grpc.domain.turn import Message, Strategy, StrategyKind, TurnRequest
from lmos_grpc.orchestrator import Orchestrator
from lmos_grpc.telemetry import Metrics
from tests.fakes.scripted_mesh import ScriptedDecider
from tests.fakes.timed_agents import ENDS, SAYS, Plan, SlowReader, TimedAgents
from tests.fakes.virtual_loop import run_virtually

if TYPE_CHECKING:
    from lmos_grpc.domain.event import AgentEvent, EventBody

TURN = TurnRequest(Message.from_user("hi"), conversation_id="c", turn_id="t")
MINUTE = timedelta(minutes=1)
SECONDS = st.sampled_from((0.0, 0.0, 0.1, 0.2, 0.3, 1.0, 3.0))
PLANS = st.builds(
    Plan,
    says=st.lists(st.tuples(SECONDS, st.sampled_from(SAYS)), max_size=6).map(tuple),
    end=st.sampled_from((*ENDS, "completes", "completes")),
    end_after=SECONDS,
    pushes=st.booleans(),
)
DELAYS = st.sampled_from((None, timedelta(milliseconds=200), timedelta(seconds=1)))
GOOD = {Outcome.COMPLETED, Outcome.INPUT_REQUIRED}


@dataclass
class Run:
    """What came of one turn."""

    strategy: Strategy
    agents: TimedAgents
    reader: SlowReader
    ended_at: float

    @property
    def events(self) -> list[AgentEvent]:
        return self.reader.events

    @property
    def done(self) -> TurnDone:
        body = self.events[-1].body
        assert isinstance(body, TurnDone)
        return body

    @property
    def outcomes(self) -> dict[str, Outcome]:
        return {each.source.agent: each.outcome for each in self.done.branches}

    def shown(self, agent: str) -> list[EventBody]:
        """What was shown of an agent, without what the mesh tells of its failure."""
        return [
            event.body for event in self.events if event.source.agent == agent and not isinstance(event.body, Failure)
        ]

    def said(self, agent: str) -> list[EventBody]:
        return self.agents.plans[agent].bodies(agent)


async def turn_of(
    plans: list[Plan],
    strategy: Strategy,
    *,
    slow: float = 0.0,
    cancel_after: float | None = None,
    metrics: Metrics | None = None,
) -> Run:
    agents = TimedAgents({f"a{number}": plan for number, plan in enumerate(plans)})
    targets = tuple(Target(name, "1.0.0") for name in agents.plans)
    decision = Decision(DecisionMode.CLASSIFIED, "", targets, strategy=strategy)
    log, reader = MemoryTurnLog(), SlowReader(slow)
    async with asyncio.TaskGroup() as endings:
        orchestrator = Orchestrator(ScriptedDecider(decision), LiveView(), log, agents)
        executor = TurnExecutor(MeteredRunner(orchestrator, metrics or Metrics()), log, endings)
        task = asyncio.ensure_future(executor.run(TURN, MINUTE, reader))
        await asyncio.wait((task,), timeout=cancel_after)
        ended_at = asyncio.get_running_loop().time()
        task.cancel()
        await asyncio.wait((task,))
        assert asyncio.get_running_loop().time() == ended_at
        assert task.cancelled() or task.exception() is None
    return Run(strategy, agents, reader, ended_at)


def check_every_turn(run: Run, *, cancelled: bool = False) -> None:
    """What holds under every strategy."""
    events = run.events
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    bodies = [event.body for event in events]
    assert [type(body) for body in bodies[:2]] == [Accepted, Routed][: len(bodies)]
    ends = [place for place, body in enumerate(bodies) if isinstance(body, TurnDone)]
    assert ends == [len(events) - 1] or (cancelled and not ends)
    for call in run.agents.calls:
        assert call.ended_at is not None
        assert call.ended_at <= run.ended_at
        # In order, nothing lost in the middle, nothing doubled.
        shown = run.shown(call.agent)
        assert shown == run.said(call.agent)[: len(shown)]
    assert all(count == 1 for count in run.agents.asked.values())


def check_whole(run: Run, agent: str) -> None:
    assert run.shown(agent) == run.said(agent)


@settings(max_examples=60, deadline=None)
@given(plans=st.lists(PLANS, min_size=2, max_size=5), slow=st.sampled_from((0.0, 0.05, 0.4)))
def test_all_shows_every_branch_to_its_end(plans: list[Plan], slow: float) -> None:
    run = run_virtually(turn_of(plans, Strategy(StrategyKind.ALL, branch_budget=timedelta(seconds=30)), slow=slow))
    check_every_turn(run)
    for agent in run.outcomes:
        check_whole(run, agent)
    good = sum(outcome in GOOD for outcome in run.outcomes.values())
    asks = Outcome.INPUT_REQUIRED in run.outcomes.values()
    whole = Outcome.COMPLETED if good == len(plans) else Outcome.PARTIAL if good else Outcome.FAILED
    assert run.done.outcome is (Outcome.INPUT_REQUIRED if asks else whole)


@settings(max_examples=60, deadline=None)
@given(plans=st.lists(PLANS, min_size=2, max_size=5), delay=DELAYS, kind=st.sampled_from(("one", "first")))
def test_a_race_shows_the_first_that_answers_and_no_other(
    plans: list[Plan], delay: timedelta | None, kind: str
) -> None:
    if kind == "one":
        delay = delay or timedelta(seconds=1)
    strategy = Strategy(StrategyKind(kind), hedge_delay=delay, branch_budget=timedelta(seconds=30))
    run = run_virtually(turn_of(plans, strategy))
    check_every_turn(run)
    seen = {event.source.agent for event in run.events if event.source.agent}
    assert len(seen) <= 1
    for agent in seen:
        check_whole(run, agent)
        assert run.done.outcome is run.outcomes[agent]
    if not seen:
        assert run.done.outcome is Outcome.FAILED
        assert len(run.agents.calls) == len(plans)
    # Why it failed is told once: by the mesh where nobody answered, else of the winner.
    told = [event.source.agent for event in run.events if isinstance(event.body, Failure)]
    assert told == ([""] if not seen else list(seen) if run.done.outcome is Outcome.FAILED else [])
    check_hedge(run)


@settings(max_examples=60, deadline=None)
@given(plans=st.lists(PLANS, min_size=1, max_size=5), delay=DELAYS, needed=st.integers(1, 5))
def test_a_quorum_ends_with_enough_good_answers_or_as_soon_as_they_cannot_come(
    plans: list[Plan], delay: timedelta | None, needed: int
) -> None:
    if len(plans) == 1:
        needed = max(needed, 2)  # else it is not fanned out
    strategy = Strategy(StrategyKind.QUORUM, needed, hedge_delay=delay, branch_budget=timedelta(seconds=30))
    run = run_virtually(turn_of(plans, strategy))
    check_every_turn(run)
    outcomes = run.outcomes
    good = [name for name, outcome in outcomes.items() if outcome in GOOD and run.agents.plans[name].good]
    assert len(good) <= needed
    if len(plans) < needed:
        assert not run.agents.calls
    if len(good) == needed:
        assert run.done.outcome in GOOD
    else:
        assert run.done.outcome is (Outcome.PARTIAL if good else Outcome.FAILED)
        still_able = sum(outcome is Outcome.CANCELLED for outcome in outcomes.values()) + len(plans) - len(outcomes)
        assert len(good) + still_able < needed
    for agent, outcome in outcomes.items():
        if outcome is not Outcome.CANCELLED:
            check_whole(run, agent)
    check_hedge(run)


@settings(max_examples=60, deadline=None)
@given(plans=st.lists(PLANS, min_size=2, max_size=5), slow=st.sampled_from((0.0, 0.05)))
def test_best_shows_one_good_answer_whole_once_all_have_ended(plans: list[Plan], slow: float) -> None:
    strategy = Strategy(StrategyKind.BEST, branch_budget=timedelta(seconds=30))
    run = run_virtually(turn_of(plans, strategy, slow=slow))
    check_every_turn(run)
    assert len(run.outcomes) == len(plans)
    good = [name for name, plan in run.agents.plans.items() if plan.good]
    seen = {event.source.agent for event in run.events if event.source.agent}
    # Nobody was scored, so that the first of the good ones is the best.
    assert seen == set(good[:1])
    for agent in seen:
        check_whole(run, agent)
        assert run.done.outcome is run.outcomes[agent]
    if not good:
        assert run.done.outcome is Outcome.FAILED


@settings(max_examples=80, deadline=None)
@given(
    plans=st.lists(PLANS, min_size=2, max_size=4),
    strategy=st.sampled_from(
        (
            Strategy(StrategyKind.ALL),
            Strategy(StrategyKind.FIRST),
            Strategy(StrategyKind.QUORUM, 2),
            Strategy(StrategyKind.QUORUM, 1, hedge_delay=timedelta(milliseconds=200)),
            Strategy(StrategyKind.BEST),
            Strategy(StrategyKind.ONE, hedge_delay=timedelta(milliseconds=200)),
        )
    ),
    slow=st.sampled_from((0.0, 0.4)),
    after=st.sampled_from((0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5)),
)
def test_a_cancel_at_any_time_ends_every_branch_in_the_same_instant(
    plans: list[Plan], strategy: Strategy, slow: float, after: float
) -> None:
    run = run_virtually(turn_of(plans, strategy, slow=slow, cancel_after=after))
    check_every_turn(run, cancelled=True)


@settings(max_examples=40, deadline=None)
@given(
    plans=st.lists(PLANS, min_size=2, max_size=4),
    kind=st.sampled_from(("all", "first", "best")),
    budget=st.sampled_from((0.05, 0.25, 1.5)),
    whole=st.booleans(),
)
def test_no_turn_takes_longer_than_its_budget(plans: list[Plan], kind: str, budget: float, *, whole: bool) -> None:
    span = timedelta(seconds=budget)
    strategy = Strategy(StrategyKind(kind))
    strategy = replace(strategy, turn_budget=span) if whole else replace(strategy, branch_budget=span)
    run = run_virtually(turn_of(plans, strategy))
    check_every_turn(run)
    # A call that has sent its last event has 50 ms to end well.
    assert run.ended_at - run.agents.calls[0].began <= budget + 0.051
    if kind == "all":
        late = {agent for agent, outcome in run.outcomes.items() if run.shown(agent) != run.said(agent)}
        assert all(run.outcomes[agent] is Outcome.FAILED for agent in late)


def check_hedge(run: Run) -> None:
    """Who was not among the first began when it was time, or when another one had failed, and not before."""
    strategy, calls = run.strategy, run.agents.calls
    if strategy.hedge_delay is None:
        return
    delay = strategy.hedge_delay.total_seconds()
    for before, call in pairwise(calls):
        if len([each for each in calls if each.began <= before.began]) < strategy.at_once:
            continue
        waited = call.began - before.began >= delay - 1e-6
        failed = any(abs((each.ended_at or 0) - call.began) < 1e-6 for each in calls if each is not call)
        assert waited or failed or calls.index(call) < strategy.at_once


HANGS, BREAKS, ANSWERS = Plan(end="hangs"), Plan(end="breaks", end_after=0.5), Plan(((0.1, "text"),))


@pytest.mark.parametrize(
    ("plans", "quorum", "began"),
    [
        ([HANGS, HANGS, ANSWERS], 0, [0, 1, 2]),
        ([BREAKS, BREAKS, ANSWERS], 0, [0, 0.5, 1]),
        ([BREAKS, HANGS, ANSWERS], 0, [0, 0.5, 1.5]),
        ([Plan(), ANSWERS], 0, [0, 0]),
        ([ANSWERS, ANSWERS], 0, [0]),
        ([HANGS, ANSWERS, ANSWERS, ANSWERS], 2, [0, 0, 1]),
        ([BREAKS, BREAKS, ANSWERS, ANSWERS, ANSWERS], 2, [0, 0, 0.5, 0.5]),
    ],
    ids=["slow", "failing", "failing-then-slow", "silent", "quick", "quorum-slow", "quorum-failing"],
)
def test_the_next_begins_after_the_delay_or_at_once_where_one_fails(
    plans: list[Plan], quorum: int, began: list[float]
) -> None:
    kind = StrategyKind.QUORUM if quorum else StrategyKind.ONE
    run = run_virtually(turn_of(plans, Strategy(kind, quorum, hedge_delay=timedelta(seconds=1))))
    assert [call.began - 1_000 for call in run.agents.calls] == pytest.approx(began, abs=0.001)
    assert run.done.outcome is Outcome.COMPLETED


def test_nobody_is_asked_any_more_when_the_time_of_the_turn_is_up() -> None:
    strategy = Strategy(StrategyKind.ONE, hedge_delay=timedelta(seconds=1), turn_budget=timedelta(seconds=0.5))
    run = run_virtually(turn_of([HANGS, ANSWERS], strategy))
    assert run.outcomes == {"a0": Outcome.FAILED}
    assert run.done.outcome is Outcome.FAILED


@pytest.mark.parametrize("kind", ["all", "first", "quorum"])
@pytest.mark.parametrize("pushes", [True, False])
def test_a_slow_caller_is_not_buffered_for(kind: str, *, pushes: bool) -> None:
    plans = [Plan(((0.0, "text"),) * 200, pushes=pushes)] * 3
    run = run_virtually(turn_of(plans, Strategy(StrategyKind(kind), 3 if kind == "quorum" else 0), slow=0.01))
    check_every_turn(run)
    assert len(run.events) > 200
    # Its own room, and an event of each branch that was on its way.
    assert run.reader.most_waiting <= run.reader.room_for + len(plans) + 1


@pytest.mark.parametrize("kind", ["first", "quorum", "best"])
def test_a_branch_that_is_not_needed_is_cancelled_in_the_instant_in_which_that_is_clear(kind: str) -> None:
    quick = Plan(((0.5, "text"),))
    plans = [quick, Plan(((0.2, "status"),), "hangs"), Plan((), "hangs")]
    quorum = 1 if kind == "quorum" else 0
    budget = timedelta(seconds=2)
    run = run_virtually(turn_of(plans, Strategy(StrategyKind(kind), quorum, branch_budget=budget)))
    clear = 2.0 if kind == "best" else 0.5
    assert [call.cancelled_at for call in run.agents.calls[1:]] == pytest.approx([1_000 + clear] * 2, abs=0.001)
    assert run.done.outcome is Outcome.COMPLETED


def test_a_quorum_that_was_missed_is_partial_in_the_instant_in_which_that_is_clear() -> None:
    plans = [Plan(((0.1, "text"),)), Plan((), "breaks", 0.5), Plan(((0.2, "text"),), "hangs")]
    run = run_virtually(turn_of(plans, Strategy(StrategyKind.QUORUM, 3)))
    assert run.done.outcome is Outcome.PARTIAL
    assert run.outcomes == {"a0": Outcome.COMPLETED, "a1": Outcome.FAILED, "a2": Outcome.CANCELLED}
    assert run.ended_at == pytest.approx(1_000.5, abs=0.001)
    check_whole(run, "a2")


def test_of_what_a_winner_said_before_it_answered_the_newest_is_shown() -> None:
    # So many are more than what is held back, by the overhead of each alone.
    plans = [Plan((*(((0.001, "status"),) * 2_500), (0.0, "text")), end_after=0.1), Plan((), "hangs")]
    run = run_virtually(turn_of(plans, Strategy(StrategyKind.FIRST)))
    shown = run.shown("a0")
    assert 1_000 < len(shown) < 2_048
    assert shown == run.said("a0")[-len(shown) :]


def test_who_never_began_is_not_counted_and_who_stepped_in_is() -> None:
    metrics = Metrics()
    plans = [Plan((), "breaks"), Plan(((0.1, "text"),)), Plan()]
    strategy = Strategy(StrategyKind.ONE, hedge_delay=timedelta(seconds=1))
    run_virtually(turn_of(plans, strategy, metrics=metrics))
    counted = {
        (sample.labels["agent"], sample.labels.get("outcome", "runs"), sample.value)
        for metric in metrics.registry.collect()
        if metric.name in ("lmos_turns", "lmos_active_turns")
        for sample in metric.samples
        if sample.name in ("lmos_turns_total", "lmos_active_turns")
    }
    assert counted == {
        ("a0", "FAILED", 1),
        ("a0", "runs", 0),
        ("a1", "COMPLETED", 1),
        ("a1", "runs", 0),
        ("orchestrator", "COMPLETED", 1),
        ("orchestrator", "runs", 0),
    }
