"""Meshes of different sizes side by side, so that they can be measured in turns."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from bench.mesh_parts import run_mesh_parts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from bench.bench_run import BenchRun
    from bench.mesh_parts import MeshParts


@asynccontextmanager
async def meshes_of(run: BenchRun, sizes: Iterable[int]) -> AsyncIterator[dict[int, MeshParts]]:
    """A mesh for each size, with so many agents registered."""
    found: dict[int, MeshParts] = {}
    async with AsyncExitStack() as stack:
        for size in sizes:
            mesh = await stack.enter_async_context(run_mesh_parts(run.folder / f"mesh-{size}"))
            await stack.enter_async_context(run.agents(f"agents-{size}", "-count", str(size), "-mesh", mesh.internal))
            found[size] = mesh
            run.steps.done(f"{size:,} agents registered")
        yield found
