"""What came of a request of the demo, held against what was expected."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from lmos_grpc.cli.output import printable
from lmos_grpc.cli.view.figures import span_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lmos_grpc.cli.demo.demo_request import DemoRequest
    from lmos_grpc.domain.event import Outcome


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Who answered, how the turn ended (None: it never did), and how long it took as the caller saw it."""

    request: DemoRequest
    agents: frozenset[str]
    outcome: Outcome | None
    trace_id: str
    elapsed: timedelta
    first_text: timedelta | None = None
    branches: int = 1

    @property
    def complaint(self) -> str:
        """What is not as expected; empty where all is."""
        complaints = []
        if self.agents != frozenset(self.request.expect_agents):
            complaints.append(f"answered by {_names(self.agents)}, expected {_names(self.request.expect_agents)}")
        if self.outcome is not self.request.expect_outcome:
            ended = self.outcome.name if self.outcome else "without an outcome"
            complaints.append(f"ended {ended}, expected {self.request.expect_outcome.name}")
        return "; ".join(complaints)

    @property
    def json(self) -> dict[str, Any]:  # Any: JSON values
        """The result as JSON."""
        return {
            "title": self.request.title,
            "text": self.request.text,
            "agents": sorted(self.agents),
            "outcome": self.outcome.name if self.outcome else None,
            "traceId": self.trace_id,
            "elapsedMs": round(self.elapsed / timedelta(milliseconds=1), 1),
            "asExpected": not self.complaint,
            "complaint": self.complaint,
        }


def result_table(results: Iterable[DemoResult]) -> Table:
    """All results, a row each."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("", "REQUEST", "ANSWERED BY", "OUTCOME"):
        table.add_column(heading)
    for heading in ("FIRST TEXT", "TOOK"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in results:
        mark = Text("✗", "bold red") if each.complaint else Text("✓", "green")
        outcome = each.outcome.value if each.outcome else "none"
        first = span_text(each.first_text) if each.first_text else ""
        title = printable(each.request.title)
        table.add_row(mark, title, _names(each.agents), outcome, first, span_text(each.elapsed))
        if each.complaint:
            table.add_row("", Text(each.complaint, "red"))
    return table


def _names(agents: Iterable[str]) -> str:
    return printable(", ".join(sorted(agents))) or "nobody"
