"""The control plane: how soon an agent that comes is called, and one that goes is not."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bench.figure import Figure, plain, shown
from bench.load_run import quantiles
from bench.meshes import meshes_of
from bench.part_result import PartResult
from bench.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.bench_run import BenchRun
    from bench.load_run import Quantiles
    from bench.mesh_parts import MeshParts

_LIMIT_SECONDS = 300.0
_ABOUT = (
    "An agent registers, is called through Envoy until it answers, deregisters, and is called until Envoy refuses, "
    "again and again, in meshes with different numbers of other agents. Registering includes that discovery calls the "
    "agent back; the first call and the first refusal count from the answer of discovery."
)


@dataclass(frozen=True, slots=True)
class Churn:
    """One round."""

    register: Quantiles
    first_call: Quantiles
    first_refusal: Quantiles
    bytes_per_change: float


async def measure_control_plane(run: BenchRun) -> PartResult:
    """Measures each number of agents."""
    sizes = run.scale.churn_agents
    run.steps.expect(len(sizes) * (run.scale.rounds + 1))
    async with meshes_of(run, sizes) as meshes:
        arms = {str(size): partial(_churn, run, mesh) for size, mesh in meshes.items()}
        found = await run.interleaved(arms)
        memory = {size: mesh.memory_mb() for size, mesh in meshes.items()}
    return PartResult("control-plane", _ABOUT, (_times(found), _memory(memory)), key_figures=_key_figures(found))


async def _churn(run: BenchRun, mesh: MeshParts) -> Churn:
    turns = run.scale.churn_turns
    before = await mesh.control_bytes()
    read = await run.load.once("churn", "-mesh", mesh.internal, "-rounds", str(turns), seconds=_LIMIT_SECONDS)
    received = await mesh.control_bytes() - before
    register, first_call, first_refusal = (
        quantiles(read[name]) for name in ("register_ms", "first_call_ms", "first_refusal_ms")
    )
    return Churn(register, first_call, first_refusal, received / (2 * turns))


def _figure(rounds: list[Churn], value: Callable[[Churn], float]) -> Figure | None:
    return Figure.of(value(each) for each in rounds)


def _times(found: Mapping[str, list[Churn]]) -> Table:
    columns: dict[str, Callable[[Churn], float]] = {
        "register, p50 ms": lambda each: each.register.p50,
        "first call, p50 ms": lambda each: each.first_call.p50,
        "first call, p99 ms": lambda each: each.first_call.p99,
        "first refusal, p50 ms": lambda each: each.first_refusal.p50,
        "first refusal, p99 ms": lambda each: each.first_refusal.p99,
        "bytes to Envoy for a change": lambda each: each.bytes_per_change,
    }
    rows = tuple(
        (f"{int(size):,}", *(shown(_figure(rounds, value)) for value in columns.values()))
        for size, rounds in found.items()
    )
    return Table("Coming and going", ("agents", *columns), rows)


def _memory(memory: Mapping[int, Mapping[str, float]]) -> Table:
    names = tuple(dict.fromkeys(name for each in memory.values() for name in each))
    rows = tuple((f"{size:,}", *(plain(each[name]) for name in names)) for size, each in memory.items())
    return Table("Resident memory in MB at the end, by process", ("agents", *names), rows)


def _key_figures(found: Mapping[str, list[Churn]]) -> dict[str, float | None]:
    figures: dict[str, float | None] = {}
    for size, rounds in found.items():
        p50 = _figure(rounds, lambda each: each.first_call.p50)
        p99 = _figure(rounds, lambda each: each.first_call.p99)
        figures[f"first_call_p50_ms_{size}"] = p50.median if p50 else None
        figures[f"first_call_p99_ms_{size}"] = p99.median if p99 else None
    return figures
