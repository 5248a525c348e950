"""How it looks what keeps an agent from a turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from lmos_grpc.cli.output import printable
from lmos_grpc.cli.view.decision_view import decision_line, governance_lines
from lmos_grpc.cli.view.turn_view import failure_line
from lmos_grpc.domain.decision import Decision, Exclusion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from lmos_grpc.domain.decision import Candidate
    from lmos_grpc.domain.failure import FailureDetail


def show_why_not(
    console: Console, agent: str, outcome: Decision | FailureDetail, obstacles: Sequence[Candidate]
) -> None:
    """Prints what becomes of the turn, and each obstacle on a row of its own."""
    if isinstance(outcome, Decision):
        console.print(Text(decision_line(outcome), "bold"), soft_wrap=True)
        for line in governance_lines(outcome.governance):
            console.print(Text(line, "dim"), soft_wrap=True)
    else:
        console.print(Text(failure_line(outcome), "red"), soft_wrap=True)
    console.print()
    gets_it = any(each.chosen for each in obstacles)
    head = f"{printable(agent)} gets it" if gets_it else f"{printable(agent)} does not get it"
    console.print(Text(f"{head}:", "green" if gets_it else "bold"))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("VERSION", "SUBSET", "CAPABILITY", "KEPT OUT BY"):
        table.add_column(heading, no_wrap=True)
    table.add_column("WHY", overflow="fold")
    for each in obstacles:
        kept_out = "" if each.exclusion is Exclusion.NONE else each.exclusion.value
        row = (each.version, each.subset, each.capability, kept_out, each.reason)
        table.add_row(*map(printable, row), style="green" if each.chosen else "")
    console.print(table)
