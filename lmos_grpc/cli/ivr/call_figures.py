"""How fast a call was, as its caller heard it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

VOICE_TO_VOICE = "end of speech to first sound of the answer"
BARGE_IN = "interruption to silence on the line"
GREETING = "answered to first sound of the greeting"
KEYS = "last key to first sound of the answer"
PACING = "between two frames of 20 ms"


@dataclass(slots=True)
class CallFigures:
    """Seconds, by what they are of."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, seconds: float) -> None:
        """Takes one in."""
        self.seconds.setdefault(name, []).append(seconds)

    @classmethod
    def together(cls, figures: Iterable[CallFigures]) -> CallFigures:
        """Those of several calls as one."""
        whole = cls()
        for each in figures:
            for name, seconds in each.seconds.items():
                whole.seconds.setdefault(name, []).extend(seconds)
        return whole

    def table(self) -> Table:
        """A row for each figure."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("FROM … TO")
        for heading in ("TIMES", "P50", "P95", "MOST"):
            table.add_column(heading, justify="right", no_wrap=True)
        for name, seconds in self.seconds.items():
            ranks = (percentile(seconds, 0.5), percentile(seconds, 0.95), max(seconds))
            table.add_row(name, str(len(seconds)), *(f"{each * 1_000:.0f} ms" for each in ranks))
        return table


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so great a share of them does not exceed: the nearest rank, and so one that was measured."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * share) - 1)]
