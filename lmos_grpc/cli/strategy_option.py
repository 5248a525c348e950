"""The strategy of a turn as options: `--strategy quorum:2 --hedge 300ms --branch-budget 5s`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from lmos_grpc.domain.strategy import STRATEGY_NAMES, strategy_fault, strategy_named
from lmos_grpc.domain.turn import Strategy

if TYPE_CHECKING:
    from datetime import timedelta

METAVAR = "|".join(STRATEGY_NAMES)
_OPTIONS = {
    "quorum": "--strategy",
    "max_branches": "--max-branches",
    "hedge_delay": "--hedge",
    "branch_budget": "--branch-budget",
    "turn_budget": "--turn-budget",
}


def to_strategy(
    _context: click.Context | None, _parameter: click.Parameter | None, value: str | None
) -> Strategy | None:
    """The strategy of that name; a callback for an option of click.

    Raises:
        click.BadParameter: there is none.
    """
    try:
        return None if value is None else strategy_named(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def strategy_from(
    named: Strategy | None,
    *,
    max_branches: int | None = None,
    hedge: timedelta | None = None,
    branch_budget: timedelta | None = None,
    turn_budget: timedelta | None = None,
) -> Strategy:
    """The strategy that the options add up to.

    Raises:
        click.BadParameter: they do not go together.
    """
    strategy = named or Strategy()
    strategy = replace(
        strategy,
        max_branches=strategy.max_branches if max_branches is None else max_branches,
        hedge_delay=hedge,
        branch_budget=branch_budget,
        turn_budget=turn_budget,
    )
    if fault := strategy_fault(strategy):
        field, message = fault
        raise click.BadParameter(message, param_hint=_OPTIONS.get(field))
    return strategy
