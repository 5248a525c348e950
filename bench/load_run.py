"""One run of the load client: what it saw, and what every process used meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.child_process import child_process
from bench.process_figures import cpu_by_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SLACK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Quantiles:
    """The distribution of one time, in milliseconds."""

    count: int = 0
    p50: float = 0
    p99: float = 0
    max: float = 0


@dataclass(frozen=True, slots=True)
class LoadRun:
    """What was measured; CPU is in seconds by process, and `load` is the client itself."""

    seconds: float
    turns: int
    tokens: int
    messages: int
    turn: Quantiles
    first_token: Quantiles
    delay: Quantiles
    failures: Mapping[str, int]
    lane: str
    cpu: Mapping[str, float] = field(default_factory=dict)

    def cpu_ms_per_1000_tokens(self, *names: str) -> float | None:
        """CPU of some processes for 1,000 tokens; None where there were none."""
        return sum(self.cpu.get(name, 0) for name in names) * 1e6 / self.tokens if self.tokens else None


@dataclass(frozen=True, slots=True)
class LoadClient:
    """The compiled program, and where its logs go."""

    program: Path
    folder: Path

    async def turns(self, *flags: str, pids: Mapping[str, int], seconds: float) -> LoadRun:
        """Runs turns; `flags` are those of `load turns`, and `seconds` says how long that may take by itself."""
        command = (str(self.program), "turns", *flags)
        async with child_process("load", *command, folder=self.folder) as load:
            await load.said("begin", seconds + _SLACK_SECONDS)
            before = cpu_by_name(pids)
            read = await load.said("end", seconds + _SLACK_SECONDS)
            after = cpu_by_name(pids)
        cpu = {name: after[name] - before[name] for name in pids}
        return _load_run(read, {**cpu, "load": float(read["cpu_seconds"])})

    async def once(self, *arguments: str, seconds: float) -> dict[str, Any]:  # Any: JSON values
        """Runs another subcommand to its end and gives what it said."""
        async with child_process("load", str(self.program), *arguments, folder=self.folder) as load:
            return await load.said("end", seconds)


def quantiles(read: Mapping[str, Any]) -> Quantiles:  # Any: JSON values
    """As the load client prints them."""
    return Quantiles(**read)


def _load_run(read: Mapping[str, Any], cpu: Mapping[str, float]) -> LoadRun:  # Any: JSON values
    return LoadRun(
        read["seconds"],
        read["turns"],
        read["tokens"],
        read["messages"],
        quantiles(read["turn_ms"]),
        quantiles(read["first_token_ms"]),
        quantiles(read["token_delay_ms"]),
        read["failures"],
        read["lane"],
        cpu,
    )
