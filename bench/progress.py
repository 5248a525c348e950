"""The progress bar of a run."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import TaskID


class PartProgress:
    """How far one part is."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._expected = 0

    def expect(self, steps: int) -> None:
        """So many steps come, in addition to those that were expected before."""
        self._expected += steps
        self._progress.update(self._task, total=self._expected)

    def done(self, what: str) -> None:
        """One of them is done."""
        self._progress.update(self._task, advance=1, what=what)


class RunProgress:
    """How far a run is."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def part(self, name: str) -> PartProgress:
        """A line for one part."""
        return PartProgress(self._progress, self._progress.add_task(name, total=None, what="starting"))

    def tell(self, line: str) -> None:
        """A line of text above the bars."""
        self._progress.console.print(line, markup=False, highlight=False)


@contextmanager
def showing() -> Iterator[RunProgress]:
    """A progress bar on the terminal while the block runs."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[what]}"),
    )
    with Progress(*columns) as progress:
        yield RunProgress(progress)
