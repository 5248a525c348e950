"""The compiled load: built from `bench/load` where Go is installed."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "bench"
MISSING_GO = "there is no `go` in the PATH, and the load of the benchmark is compiled: install Go 1.24 or later"


class ToolchainError(Exception):
    """The load cannot be built here."""


async def build_load() -> Path:
    """Builds the load client and gives where it is.

    Raises:
        ToolchainError: there is no Go, or the build failed.
    """
    if shutil.which("go") is None:
        raise ToolchainError(MISSING_GO)
    CACHE.mkdir(parents=True, exist_ok=True)
    program = CACHE / "load"
    build = await asyncio.create_subprocess_exec(
        *("go", "build", "-mod=readonly", "-trimpath", "-o", str(program), "."),
        cwd=ROOT / "bench" / "load",
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await build.communicate()
    if build.returncode:
        raise ToolchainError(f"the load does not build: {errors.decode('utf-8', 'replace')}")
    return program
