"""What a caller wants of the routing as options, the same for `lmos ask`, `lmos chat` and `lmos route`."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from lmos_grpc.cli.duration_option import to_timedelta
from lmos_grpc.cli.strategy_option import METAVAR, strategy_from, to_strategy
from lmos_grpc.domain.turn import Lane, RouteHint, Strategy

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    Command = Callable[..., Any]  # Any: click calls it with what the options say

_LANES = (Lane.EXPRESS.value, Lane.MANAGED.value)
_OPTIONS = (
    click.option("--agent", default="", metavar="NAME", help="This agent, whatever the router thinks."),
    click.option("--capability", default="", metavar="ID", help="Whoever has this capability."),
    click.option(
        "--strategy",
        callback=to_strategy,
        metavar=METAVAR,
        help="One agent; all that fit; the first that answers; so many answers; or the best answer.",
    ),
    click.option(
        "--max-branches", type=int, metavar="N", help=f"No more agents than this [default: {Strategy().max_branches}]."
    ),
    click.option(
        "--hedge", callback=to_timedelta, metavar="TIME", help="Ask the next agent where one is slow, as 300ms."
    ),
    click.option("--branch-budget", callback=to_timedelta, metavar="TIME", help="The time that one agent may take."),
    click.option(
        "--turn-budget", callback=to_timedelta, metavar="TIME", help="The time that all agents may take together."
    ),
    click.option(
        "--lane", type=click.Choice(_LANES), help="The path of the answer, where the mesh has the express lane."
    ),
)


def route_hint(command: Command) -> Command:
    """Adds the options, and gives the command what they add up to as `hint`."""

    @wraps(command)
    def hinted(
        *given: Any,  # Any: what else the command takes
        agent: str,
        capability: str,
        strategy: Strategy | None,
        max_branches: int | None,
        hedge: timedelta | None,
        branch_budget: timedelta | None,
        turn_budget: timedelta | None,
        lane: str | None,
        **named: Any,  # Any: as above
    ) -> Any:  # Any: as above
        wanted = strategy_from(
            strategy, max_branches=max_branches, hedge=hedge, branch_budget=branch_budget, turn_budget=turn_budget
        )
        hint = RouteHint(agent, capability, strategy=wanted, lane=Lane(lane) if lane else Lane.UNSPECIFIED)
        return command(*given, hint=hint, **named)

    for option in reversed(_OPTIONS):
        option(hinted)
    return hinted
