"""Growth: what a turn costs where many agents live, and what sessions cost that wait, or talk."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from statistics import quantiles as cut_points
from typing import TYPE_CHECKING

from bench.child_process import child_process
from bench.comparison import TURN_P50, TURN_P99, TURNS, comparison_table, failures
from bench.decisions import decision_times_ms
from bench.figure import Figure, plain, shown
from bench.load_run import quantiles
from bench.mesh_parts import run_mesh_parts
from bench.meshes import meshes_of
from bench.part_result import PartResult
from bench.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.bench_run import BenchRun
    from bench.comparison import Runs
    from bench.load_run import Quantiles
    from bench.mesh_parts import MeshParts

_LIMIT_SECONDS = 600.0
_CALLERS = 4
_WAYS = {
    "by name": ("-agent", "worker-0"),
    "by words": ("-text", "please do the work of worker-0"),
}
_ABOUT = (
    f"{_CALLERS} callers ask for one agent by its name, or in words that only it knows, in meshes with different "
    "numbers of agents; the router alone is timed as well. Then live sessions are opened at the edge and wait; at the "
    "end each is asked whether it still lives. In others the callers talk: an answer has 20 tokens in 2 s, "
    "they listen for 6 s, and interrupt the last one; every event is counted."
)


async def measure_growth(run: BenchRun) -> PartResult:
    """Measures each number of agents, and each number of sessions."""
    scale = run.scale
    run.steps.expect(
        len(scale.grown_agents) * ((len(_WAYS) + 1) * scale.rounds + 1) + len(scale.sessions) + 2 * len(scale.talking)
    )
    async with meshes_of(run, scale.grown_agents) as meshes:
        turns: dict[str, Runs] = {f"{size:,}": {} for size in scale.grown_agents}
        for way, flags in _WAYS.items():
            for size, runs in (await _turns(run, meshes, *flags)).items():
                turns[size][way] = runs
    decisions = await run.interleaved(
        {str(size): partial(_decide, size, scale.decisions) for size in scale.grown_agents}
    )
    sessions = [await _sessions(run, count) for count in scale.sessions]
    # One mesh for all: in a second one on the same state the agents of the first would still have their leases.
    async with meshes_of(run, [1]) as meshes:
        talks = [await _talk(run, meshes[1], count) for count in scale.talking]
    columns = (TURNS, TURN_P50, TURN_P99)
    figures = {f"decision_p50_ms_{size}": _median(found, 0) for size, found in decisions.items()}
    alive = max((alive for count, alive, *_ in sessions if alive == count), default=0)
    return PartResult(
        "growth",
        _ABOUT,
        (
            comparison_table("Turns", "agents in the mesh", turns, columns),
            _decision_table(decisions),
            _session_table(sessions),
            _talk_table(talks),
        ),
        key_figures={**figures, "sessions_alive": float(alive), **_talk_figures(talks)},
        notes=failures(turns.values()),
    )


async def _turns(run: BenchRun, meshes: Mapping[int, MeshParts], *flags: str) -> Runs:
    seconds = run.scale.window
    times = ("-callers", str(_CALLERS), "-warm", f"{run.scale.warm}s", "-seconds", f"{seconds}s")
    return await run.interleaved(
        {
            f"{size:,}": partial(run.load.turns, "-targets", mesh.edge, *flags, *times, pids=mesh.pids, seconds=seconds)
            for size, mesh in meshes.items()
        }
    )


async def _decide(capabilities: int, decisions: int) -> tuple[float, float]:
    times = await asyncio.to_thread(lambda: list(decision_times_ms(capabilities, decisions)))
    percent = cut_points(times, n=100)
    return percent[49], percent[98]


def _median(found: list[tuple[float, float]], place: int) -> float | None:
    figure = Figure.of(each[place] for each in found)
    return figure.median if figure else None


def _decision_table(found: Mapping[str, list[tuple[float, float]]]) -> Table:
    rows = tuple(
        (f"{int(size):,}", *(shown(Figure.of(each[place] for each in rounds)) for place in (0, 1)))
        for size, rounds in found.items()
    )
    return Table("The router alone, on texts", ("capabilities", "decision, p50 ms", "decision, p99 ms"), rows)


Sessions = tuple[int, int, "Quantiles", dict[str, float]]


async def _sessions(run: BenchRun, count: int) -> Sessions:
    """How many sessions were wanted and lived, how long they took to open, and the KB that each took by process."""
    command = (str(run.load.program), "sessions", "-count", str(count))
    async with run_mesh_parts(run.folder / f"sessions-{count}") as mesh:
        before = mesh.memory_mb()
        async with child_process("sessions", *command, "-edge", mesh.edge, folder=run.folder) as load:
            opened = await load.said("open", _LIMIT_SECONDS)
            after = mesh.memory_mb()
            load.close_input()
            ended = await load.said("end", _LIMIT_SECONDS)
    run.steps.done(f"{count:,} sessions")
    kilobytes = {name: (after[name] - before[name]) * 1_000 / count for name in ("envoy", "orchestrator")}
    return count, int(ended["alive"]), quantiles(opened["open_ms"]), kilobytes


def _session_table(sessions: list[Sessions]) -> Table:
    rows = tuple(
        (f"{count:,}", f"{alive:,}", plain(opening.p50), plain(opening.p99), *map(plain, kilobytes.values()))
        for count, alive, opening, kilobytes in sessions
    )
    head = (
        *("sessions", "alive at the end", "opening, p50 ms", "opening, p99 ms"),
        *("KB each in Envoy", "KB each in the orchestrator"),
    )
    return Table("Idle live sessions", head, rows)


@dataclass(frozen=True, slots=True)
class _Talk:
    """What came of sessions in which the callers talk."""

    count: int
    whole: int
    turns: int
    failed: int
    events: int
    seconds: float
    lost: int
    stop: Quantiles


async def _talk(run: BenchRun, mesh: MeshParts, count: int) -> _Talk:
    flags = ("-count", str(count), "-listen", f"{run.scale.listening}s", "-edge", mesh.edge)
    found = await run.load.once("talk", *flags, seconds=_LIMIT_SECONDS)
    run.steps.done(f"{count:,} sessions that talk")
    lost = int(found["lost"]) + int(found["stray"])
    return _Talk(
        count,
        int(found["whole"]),
        int(found["turns"]),
        int(found["failed"]),
        int(found["events"]),
        float(found["seconds"]),
        lost,
        quantiles(found["stop_ms"]),
    )


def _talk_figures(talks: list[_Talk]) -> dict[str, float]:
    whole = [each for each in talks if each.whole == each.count and not each.lost + each.failed]
    most = max(whole, key=lambda each: each.count, default=None)
    if most is None:
        return {"sessions_talking": 0.0}
    return {"sessions_talking": float(most.count), "session_stop_p99_ms": most.stop.p99}


def _talk_table(talks: list[_Talk]) -> Table:
    rows = tuple(
        (
            *(f"{number:,}" for number in (each.count, each.whole, each.turns, each.failed, each.lost)),
            plain(each.events / each.seconds),
            plain(each.stop.p50),
            plain(each.stop.p99),
        )
        for each in talks
    )
    head = (
        *("sessions", "held to the end", "whole turns", "turns that failed", "events lost or out of place", "events/s"),
        *("interruption to silence, p50 ms", "p99 ms"),
    )
    return Table("Live sessions that talk", head, rows)
