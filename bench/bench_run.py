"""What every part of a run has at hand."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from bench.child_process import child_process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from bench.child_process import ChildProcess
    from bench.load_run import LoadClient
    from bench.scale import Scale

_START_SECONDS = 300.0
Measured = TypeVar("Measured")


class Steps(Protocol):
    """Shows how far a part is."""

    def expect(self, steps: int) -> None:
        """So many steps come, in addition to those that were expected before."""

    def done(self, what: str) -> None:
        """One of them is done."""


@dataclass(frozen=True, slots=True)
class BenchRun:
    """Scale, load, a folder of the part's own for state and logs, and the progress bar."""

    scale: Scale
    load: LoadClient
    folder: Path
    steps: Steps

    @asynccontextmanager
    async def agents(self, name: str, *flags: str) -> AsyncIterator[tuple[ChildProcess, list[str]]]:
        """Runs compiled agents and gives their process and addresses."""
        command = (str(self.load.program), "agents", *flags)
        async with child_process(name, *command, folder=self.folder) as agents:
            yield agents, list((await agents.said("ready", _START_SECONDS))["addresses"])

    async def interleaved(
        self, arms: Mapping[str, Callable[[], Awaitable[Measured]]], rounds: int = 0
    ) -> dict[str, list[Measured]]:
        """Measures each arm once a round, so that whatever else the machine does meets all of them alike."""
        found: dict[str, list[Measured]] = {name: [] for name in arms}
        for _ in range(rounds or self.scale.rounds):
            for name, measure in arms.items():
                found[name].append(await measure())
                self.steps.done(name)
        return found
