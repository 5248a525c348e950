"""Strategies by name, what cannot be, and what is filled in."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lmos_grpc.domain.strategy import strategy_fault, strategy_name, strategy_named
from lmos_grpc.domain.turn import Strategy, StrategyKind

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("name", ["one", "all", "first", "best"])
def test_a_strategy_has_the_name_of_its_kind(name: str) -> None:
    assert strategy_named(name) == Strategy(StrategyKind(name))
    assert strategy_name(strategy_named(name)) == name


def test_a_quorum_is_named_with_its_number() -> None:
    assert strategy_named("quorum:2") == Strategy(StrategyKind.QUORUM, quorum=2)
    assert strategy_name(strategy_named("quorum:2")) == "quorum:2"
    assert strategy_named("quorum:9") == Strategy(StrategyKind.QUORUM, quorum=9, max_branches=9)


@pytest.mark.parametrize("name", ["quorum", "quorum:", "quorum:0", "quorum:33", "quorum:-1", "quorum:two", "quorum:²"])
def test_a_quorum_without_a_number_that_can_be_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="say how many answers are needed, quorum:1 to quorum:32"):
        strategy_named(name)


@pytest.mark.parametrize("name", ["", "some", "all:2", "one:", "quorum:N:", "unspecified"])
def test_an_unknown_name_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(ValueError, match="say"):
        strategy_named(name)


@pytest.mark.parametrize(
    ("strategy", "field", "says"),
    [
        (Strategy(max_branches=0), "max_branches", "allowed are 1 to 32"),
        (Strategy(max_branches=33), "max_branches", "allowed are 1 to 32"),
        (Strategy(branch_budget=-SECOND), "branch_budget", "above zero"),
        (Strategy(turn_budget=0 * SECOND), "turn_budget", "above zero"),
        (Strategy(hedge_delay=0 * SECOND), "hedge_delay", "above zero"),
        (Strategy(StrategyKind.QUORUM), "quorum", "say how many answers are needed, 1 to 8"),
        (Strategy(StrategyKind.QUORUM, quorum=-1), "quorum", "say how many"),
        (Strategy(StrategyKind.QUORUM, quorum=3, max_branches=2), "quorum", "no more than 2 agents are asked"),
        (Strategy(StrategyKind.ALL, quorum=2), "quorum", "the strategy is all; leave it out"),
        (Strategy(quorum=2), "quorum", "leave it out"),
        (Strategy(StrategyKind.ALL, hedge_delay=SECOND), "hedge_delay", "all asks every agent at once"),
        (Strategy(StrategyKind.BEST, hedge_delay=SECOND), "hedge_delay", "is for one, first, quorum"),
    ],
)
def test_what_cannot_be_is_told_with_its_field(strategy: Strategy, field: str, says: str) -> None:
    fault = strategy_fault(strategy)
    assert fault is not None
    assert fault[0] == field
    assert says in fault[1]


@pytest.mark.parametrize(
    "strategy",
    [
        Strategy(),
        Strategy(hedge_delay=SECOND),
        Strategy(StrategyKind.ONE, hedge_delay=SECOND),
        Strategy(StrategyKind.QUORUM, quorum=2, max_branches=2, hedge_delay=SECOND, turn_budget=SECOND),
        Strategy(StrategyKind.BEST, branch_budget=SECOND, max_branches=32),
    ],
)
def test_what_can_be_has_no_fault(strategy: Strategy) -> None:
    assert strategy_fault(strategy) is None


def test_what_the_caller_left_open_is_filled_in_and_what_it_said_stays() -> None:
    default = Strategy(StrategyKind.QUORUM, 2, branch_budget=SECOND, hedge_delay=SECOND, turn_budget=3 * SECOND)
    assert Strategy(max_branches=4).or_else(default) == Strategy(
        StrategyKind.QUORUM, 2, 4, branch_budget=SECOND, hedge_delay=SECOND, turn_budget=3 * SECOND
    )
    many = Strategy(StrategyKind.QUORUM, 9, max_branches=9)
    assert Strategy().or_else(many) == many
    said = Strategy(StrategyKind.BEST, branch_budget=2 * SECOND, turn_budget=SECOND)
    filled = said.or_else(default)
    assert (filled.kind, filled.quorum) == (StrategyKind.BEST, 0)
    assert (filled.branch_budget, filled.turn_budget) == (2 * SECOND, SECOND)


def test_what_is_in_force_has_nothing_that_means_nothing() -> None:
    asked = Strategy(StrategyKind.QUORUM, 2, hedge_delay=SECOND)
    assert asked.in_force(StrategyKind.ALL) == Strategy(StrategyKind.ALL)
    assert asked.in_force(StrategyKind.ONE) == Strategy(StrategyKind.ONE, hedge_delay=SECOND)


@pytest.mark.parametrize(
    ("strategy", "count"),
    [
        (Strategy(StrategyKind.ALL), 8),
        (Strategy(StrategyKind.FIRST, hedge_delay=SECOND), 1),
        (Strategy(StrategyKind.QUORUM, 3), 8),
        (Strategy(StrategyKind.QUORUM, 3, hedge_delay=SECOND), 3),
    ],
)
def test_with_a_hedge_no_more_begin_than_are_needed(strategy: Strategy, count: int) -> None:
    assert strategy.at_once == count
