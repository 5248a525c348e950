"""Fan-out: one turn that several agents answer at once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bench.comparison import (
    FIRST_P50,
    FIRST_P99,
    TOKENS,
    TURN_P50,
    TURN_P99,
    Column,
    comparison_chart,
    comparison_table,
    cpu_of_python,
    failures,
    figure_of,
    tokens_per_second,
)
from bench.figure import ratio
from bench.mesh_parts import run_mesh_parts
from bench.part_result import PartResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.bench_run import BenchRun
    from bench.comparison import Runs
    from bench.mesh_parts import MeshParts

_TOKENS = 50
_LATE_MS = 500
_ABOUT = (
    "One caller asks for all agents with a capability. Beside the mesh stands a caller in Go that calls the same "
    f"agents directly and at once. Each agent gives {_TOKENS} tokens at full speed; with a straggler, one of them "
    f"begins {_LATE_MS} ms late, and the first token must not wait for it."
)


async def measure_fan_out(run: BenchRun) -> PartResult:
    """Measures each number of agents, with and without a straggler."""
    run.steps.expect(len(run.scale.branches) * 4 * run.scale.rounds)
    plain: dict[str, Runs] = {}
    straggling: dict[str, Runs] = {}
    async with run_mesh_parts(run.folder / "mesh") as mesh:
        for count in run.scale.branches:
            # A capability for each number of agents, so that the mesh has no choice.
            name = f"crew{count}"
            flags = ("-count", str(count), "-prefix", name, "-capability", name, "-mesh", mesh.internal)
            async with run.agents(name, *flags) as (_, addresses):
                late = ("-late", f"{name}-0", "-lateness", f"{_LATE_MS}ms")
                plain[str(count)] = await _cell(run, mesh, name, addresses)
                straggling[str(count)] = await _cell(run, mesh, name, addresses, *late)
        return _result(plain, straggling, {"mesh": mesh.python_parts, "direct": ()})


async def _cell(run: BenchRun, mesh: MeshParts, capability: str, addresses: list[str], *flags: str) -> Runs:
    seconds = run.scale.window + 2 * _LATE_MS / 1_000 * bool(flags)
    work = ("-tokens", str(_TOKENS), *flags, "-warm", f"{run.scale.warm}s", "-seconds", f"{seconds}s")
    direct = ("-targets", ",".join(addresses), "-all")
    meshed = ("-targets", mesh.edge, "-capability", capability, "-branches", str(len(addresses)))
    return await run.interleaved(
        {
            "direct": partial(run.load.turns, *direct, *work, pids={}, seconds=seconds),
            "mesh": partial(run.load.turns, *meshed, *work, pids=mesh.pids, seconds=seconds),
        }
    )


def _result(
    plain: Mapping[str, Runs], straggling: Mapping[str, Runs], python: Mapping[str, tuple[str, ...]]
) -> PartResult:
    times = (TOKENS, FIRST_P50, FIRST_P99, TURN_P50, TURN_P99)
    cpu = Column("CPU of Python, ms for 1,000 tokens", cpu_of_python(python))
    rates = {
        f"tokens_over_direct_{count}": ratio(
            figure_of(cell, "mesh", tokens_per_second), figure_of(cell, "direct", tokens_per_second)
        )
        for count, cell in plain.items()
    }
    return PartResult(
        "fan-out",
        _ABOUT,
        (
            comparison_table("All agents answer at once", "agents", plain, (*times, cpu)),
            comparison_table("One straggler", "agents", straggling, times),
        ),
        (comparison_chart("fan-out-tokens", "Merged tokens a second", "agents", plain, tokens_per_second),),
        rates,
        failures((*plain.values(), *straggling.values())),
    )
