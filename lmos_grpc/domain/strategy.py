"""Strategies by name, and values of them that make no sense."""

from __future__ import annotations

from datetime import timedelta

from lmos_grpc.domain.turn import HEDGED, Strategy, StrategyKind

MAX_BRANCHES = 32
STRATEGY_NAMES = ("one", "all", "first", "quorum:N", "best")
_QUORUM = "quorum"


def strategy_named(name: str) -> Strategy:
    """The strategy as people write it: `one`, `all`, `first`, `best`, or `quorum:2`.

    Raises:
        ValueError: there is none of that name; the message tells which there are.
    """
    kind, colon, number = name.partition(":")
    if kind == _QUORUM:
        if not number.isdecimal() or not 1 <= int(number) <= MAX_BRANCHES:
            raise ValueError(f"{name!r}: say how many answers are needed, quorum:1 to quorum:{MAX_BRANCHES}")
        needed = int(number)
        return Strategy(StrategyKind.QUORUM, quorum=needed, max_branches=max(needed, Strategy().max_branches))
    if colon or kind not in STRATEGY_NAMES:
        raise ValueError(f"{name!r} is no strategy; say one of {', '.join(STRATEGY_NAMES)}")
    return Strategy(StrategyKind(kind))


def strategy_name(strategy: Strategy) -> str:
    """The name by which `strategy_named` knows it."""
    return f"{_QUORUM}:{strategy.quorum}" if strategy.kind is StrategyKind.QUORUM else strategy.kind.value


def strategy_fault(strategy: Strategy) -> tuple[str, str] | None:
    """The field that has a value that it cannot have, and why it cannot; None where all is well."""
    if not 1 <= strategy.max_branches <= MAX_BRANCHES:
        return "max_branches", f"max_branches is {strategy.max_branches}, allowed are 1 to {MAX_BRANCHES}"
    for field in ("branch_budget", "hedge_delay", "turn_budget"):
        span: timedelta | None = getattr(strategy, field)
        if span is not None and span <= timedelta(0):
            return field, f"{field} has to be above zero"
    return _quorum_fault(strategy) or _hedge_fault(strategy)


def _quorum_fault(strategy: Strategy) -> tuple[str, str] | None:
    kind, quorum, most = strategy.kind, strategy.quorum, strategy.max_branches
    if kind is not StrategyKind.QUORUM:
        return ("quorum", f"quorum is {quorum}, but the strategy is {kind.value}; leave it out") if quorum else None
    if quorum < 1:
        return "quorum", f"quorum is {quorum}: say how many answers are needed, 1 to {most}"
    if quorum > most:
        return "quorum", f"quorum is {quorum}, but no more than {most} agents are asked: raise max_branches"
    return None


def _hedge_fault(strategy: Strategy) -> tuple[str, str] | None:
    if strategy.hedge_delay is None or strategy.kind in (*HEDGED, StrategyKind.UNSPECIFIED):
        return None
    names = ", ".join(each.value for each in HEDGED)
    return "hedge_delay", f"hedge_delay is for {names}; {strategy.kind.value} asks every agent at once"
