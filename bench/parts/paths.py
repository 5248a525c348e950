"""Paths: from the caller to one agent, by every way there is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bench.comparison import (
    DELAY_P50,
    DELAY_P99,
    FIRST_P50,
    FIRST_P99,
    TOKENS,
    TURN_P50,
    TURN_P99,
    TURNS,
    Column,
    comparison_chart,
    comparison_table,
    cpu_of,
    cpu_of_python,
    failures,
    figure_of,
    tokens_per_second,
    turns_per_second,
)
from bench.figure import difference, ratio
from bench.load_run import quantiles
from bench.mesh_parts import run_mesh_parts
from bench.part_result import PartResult
from bench.static_envoy import run_alternatives

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.bar_chart import BarChart
    from bench.bench_run import BenchRun
    from bench.comparison import Runs, Value
    from bench.mesh_parts import MeshParts
    from bench.table import Table

AGENT = "worker-0"
_MANAGED, _EXPRESS = "2", "1"  # Lane in the contract
_TOKENS = 500  # of a stream that is not paced
_PACE_MS = 20
_ABOUT = (
    "One agent, reached directly (which shows the limit of the load itself), through an Envoy with a static route, "
    "through a plain Python relay between two passes of Envoy, and through the mesh on its lanes. CPU is that of the "
    "operating system, in milliseconds for 1,000 tokens."
)


@dataclass(frozen=True, slots=True)
class Path:
    """One way to the agent: what the load is told, and which processes work on it; `python` are those in Python."""

    name: str
    flags: tuple[str, ...]
    pids: Mapping[str, int]
    python: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cells:
    """What was measured, by size of load."""

    unary: Mapping[str, Runs]
    streams: Mapping[str, Runs]
    paced: Mapping[str, Runs]
    burst: Mapping[str, Runs]


async def measure_paths(run: BenchRun) -> PartResult:
    """Measures all paths, side by side."""
    async with (
        run_mesh_parts(run.folder / "mesh") as mesh,
        run.agents("agent", "-mesh", mesh.internal) as (agent, (address,)),
        run_alternatives(address, run.folder) as others,
    ):
        envoy, server = {"envoy": others.envoy_pid}, {"agent": agent.pid}
        paths = [
            Path("direct", ("-targets", address), server),
            Path("Envoy, static route", ("-targets", others.static), {**envoy, **server}),
            Path(
                "Python relay", ("-targets", others.relay), {**envoy, "relay": others.relay_pid, **server}, ("relay",)
            ),
            _lane("managed", mesh, _MANAGED, server),
        ]
        express = _lane("express", mesh, _EXPRESS, server)
        missing = await _express_missing(run, express)
        if not missing:
            paths.append(express)
        result = await _measure(run, paths)
        cancel = await run.load.once(
            *("cancel", "-edge", mesh.edge, "-mesh", mesh.internal, "-rounds", str(run.scale.cancels)), seconds=120
        )
    figures = {**result.key_figures, "cancel_p99_ms": quantiles(cancel["cancel_ms"]).p99}
    notes = (*result.notes, *([missing] if missing else []), _cancelled(cancel))
    return PartResult(result.name, result.about, result.tables, result.charts, figures, notes)


def _lane(name: str, mesh: MeshParts, lane: str, server: Mapping[str, int]) -> Path:
    flags = ("-targets", mesh.edge, "-agent", AGENT, "-lane", lane)
    return Path(name, flags, {**mesh.pids, **server}, mesh.python_parts)


async def _express_missing(run: BenchRun, express: Path) -> str:
    """Why the express lane is not measured; empty where it is there. A turn also makes the mesh know the agent."""
    tried = await run.load.turns(*express.flags, "-once", pids={}, seconds=10)
    return (
        "" if tried.lane == "express" else "The express lane is not in this build: turns that ask for it are managed."
    )


def _cancelled(cancel: Mapping[str, Mapping[str, float]]) -> str:
    took = cancel["cancel_ms"]
    return (
        f"Cancel at the caller until the agent behind the managed lane knows: p50 {took['p50']:.1f} ms, "
        f"p99 {took['p99']:.1f} ms, {took['count']} times."
    )


async def _measure(run: BenchRun, paths: list[Path]) -> PartResult:
    scale = run.scale
    run.steps.expect((len(scale.callers) + len(scale.streams) + len(scale.paced) + 1) * scale.rounds * len(paths))
    pace = ("-pace", f"{_PACE_MS}ms")
    paced = ("-tokens", str(scale.paced_tokens), *pace)
    cells = Cells(
        {str(size): await _cell(run, paths, size) for size in scale.callers},
        {str(size): await _cell(run, paths, size, "-tokens", str(_TOKENS)) for size in scale.streams},
        {str(size): await _cell(run, paths, size, *paced, windows=2) for size in scale.paced},
        {str(scale.burst): await _cell(run, paths, scale.burst, "-tokens", "5", *pace, "-once")},
    )
    python = {path.name: path.python for path in paths}
    everything = (*cells.unary.values(), *cells.streams.values(), *cells.paced.values(), *cells.burst.values())
    return PartResult(
        "paths",
        _ABOUT,
        _tables(cells, cpu_of_python(python), _processes(paths)),
        _charts(cells, cpu_of_python(python)),
        _key_figures(cells, cpu_of_python(python)),
        failures(everything),
    )


async def _cell(run: BenchRun, paths: list[Path], callers: int, *flags: str, windows: int = 1) -> Runs:
    """One kind of load on every path."""
    seconds = run.scale.window * windows
    load = ("-callers", str(callers), *flags, "-warm", f"{run.scale.warm}s", "-seconds", f"{seconds}s")
    return await run.interleaved(
        {path.name: partial(run.load.turns, *path.flags, *load, pids=path.pids, seconds=seconds) for path in paths}
    )


def _processes(paths: list[Path]) -> tuple[str, ...]:
    return (*dict.fromkeys(name for path in paths for name in path.pids), "load")


def _tables(cells: Cells, python: Value, processes: tuple[str, ...]) -> tuple[Table, ...]:
    cpu = (
        Column("CPU of Python", python),
        Column("CPU of Envoy", cpu_of("envoy")),
        Column("of the load", cpu_of("load")),
    )
    by_process = (Column(name, cpu_of(name)) for name in processes)
    paced = f"Paced streams, a token every {_PACE_MS} ms"
    way = (TOKENS, FIRST_P50, FIRST_P99, DELAY_P50, DELAY_P99)
    return (
        comparison_table("Turns with one token", "callers", cells.unary, (TURNS, TURN_P50, TURN_P99)),
        comparison_table(f"Streams of {_TOKENS} tokens at full speed", "streams", cells.streams, (TOKENS, *cpu)),
        comparison_table(paced, "streams", cells.paced, way),
        comparison_table(f"{paced}: CPU in ms for 1,000 tokens, by process", "streams", cells.paced, by_process),
        comparison_table("Turns that begin in the same moment", "turns", cells.burst, (FIRST_P50, FIRST_P99)),
    )


def _charts(cells: Cells, python: Value) -> tuple[BarChart, ...]:
    cpu = "CPU of Python, ms for 1,000 paced tokens"
    return (
        comparison_chart("paths-turns", "Turns a second", "callers", cells.unary, turns_per_second),
        comparison_chart("paths-streams", "Streamed tokens a second", "streams", cells.streams, tokens_per_second),
        comparison_chart("paths-cpu", cpu, "paced streams", cells.paced, python),
    )


def _key_figures(cells: Cells, python: Value) -> dict[str, float | None]:
    """The figures that targets are about: at 32 streams and 100 paced ones, or what comes nearest in a small run."""
    streams, first, hundred = _nearest(cells.streams, 32), _nearest(cells.paced, 32), _nearest(cells.paced, 100)

    def rate(one: str, other: str) -> float | None:
        return ratio(figure_of(streams, one, tokens_per_second), figure_of(streams, other, tokens_per_second))

    def added(path: str) -> float | None:
        return difference(figure_of(first, path, FIRST_P50.value), figure_of(first, "direct", FIRST_P50.value))

    express = figure_of(hundred, "express", python)
    return {
        "static_over_direct": rate("Envoy, static route", "direct"),
        "relay_over_static": rate("Python relay", "Envoy, static route"),
        "managed_over_relay": rate("managed", "Python relay"),
        "managed_over_static": rate("managed", "Envoy, static route"),
        "express_over_static": rate("express", "Envoy, static route"),
        "managed_python_over_relay": ratio(
            figure_of(hundred, "managed", python), figure_of(hundred, "Python relay", python)
        ),
        "express_python_ms": express.median if express else None,
        "managed_first_token_ms": added("managed"),
        "express_first_token_ms": added("express"),
    }


def _nearest(cells: Mapping[str, Runs], size: int) -> Runs:
    return cells[min(cells, key=lambda found: abs(int(found) - size))]
