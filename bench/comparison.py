"""Runs of the load side by side, as tables and pictures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.bar_chart import Bar, BarChart, BarGroup
from bench.figure import Figure, shown
from bench.load_run import LoadRun
from bench.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    # The name of the arm and one of its runs in; None where the arm has no such value.
    Value = Callable[[str, LoadRun], float | None]

Runs = dict[str, list[LoadRun]]


@dataclass(frozen=True, slots=True)
class Column:
    """What one column of a table shows."""

    title: str
    value: Value


def figure_of(cell: Runs, arm: str, value: Value) -> Figure | None:
    """One value of all rounds of an arm; None where it has none."""
    return Figure.of(found for run in cell.get(arm, ()) if (found := value(arm, run)) is not None)


def comparison_table(title: str, sizes: str, cells: Mapping[str, Runs], columns: Iterable[Column]) -> Table:
    """A row for each size of load and each arm."""
    shown_columns = tuple(columns)
    rows = tuple(
        (size, arm, *(shown(figure_of(cell, arm, column.value)) for column in shown_columns))
        for size, cell in cells.items()
        for arm in cell
    )
    return Table(title, (sizes, "path", *(column.title for column in shown_columns)), rows)


def comparison_chart(name: str, title: str, sizes: str, cells: Mapping[str, Runs], value: Value) -> BarChart:
    """A group of bars for each size of load; arms without the value have no bar."""
    groups = []
    for size, cell in cells.items():
        bars = (Bar(arm, figure) for arm in cell if (figure := figure_of(cell, arm, value)))
        groups.append(BarGroup(f"{size} {sizes}", tuple(bars)))
    return BarChart(name, title, tuple(groups))


def failures(cells: Iterable[Runs]) -> tuple[str, ...]:
    """What went wrong, for the notes: turns that failed are in no figure."""
    counted: Counter[tuple[str, str]] = Counter()
    for cell in cells:
        for arm, runs in cell.items():
            for run in runs:
                counted.update({(arm, why): count for why, count in run.failures.items()})
    return tuple(f"{count} turns failed, {arm}: {why}" for (arm, why), count in counted.most_common(10))


def turns_per_second(_arm: str, run: LoadRun) -> float | None:
    """Finished turns."""
    return run.turns / run.seconds


def tokens_per_second(_arm: str, run: LoadRun) -> float | None:
    """Tokens that arrived."""
    return run.tokens / run.seconds


def cpu_of(name: str) -> Value:
    """CPU of one process, in milliseconds for 1,000 tokens."""
    return lambda _arm, run: run.cpu_ms_per_1000_tokens(name) if name in run.cpu else None


def cpu_of_python(python: Mapping[str, tuple[str, ...]]) -> Value:
    """The same for all processes in Python on an arm, by arm."""
    return lambda arm, run: run.cpu_ms_per_1000_tokens(*python[arm]) if python[arm] else None


TURN_P50 = Column("turn, p50 ms", lambda _arm, run: run.turn.p50 if run.turn.count else None)
TURN_P99 = Column("turn, p99 ms", lambda _arm, run: run.turn.p99 if run.turn.count else None)
FIRST_P50 = Column("first token, p50 ms", lambda _arm, run: run.first_token.p50 if run.first_token.count else None)
FIRST_P99 = Column("first token, p99 ms", lambda _arm, run: run.first_token.p99 if run.first_token.count else None)
DELAY_P50 = Column("a token on its way, p50 ms", lambda _arm, run: run.delay.p50 if run.delay.count else None)
DELAY_P99 = Column("a token on its way, p99 ms", lambda _arm, run: run.delay.p99 if run.delay.count else None)
TURNS = Column("turns/s", turns_per_second)
TOKENS = Column("tokens/s", tokens_per_second)
