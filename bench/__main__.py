"""`python -m bench`: runs the benchmark and writes the report."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench.bench_run import BenchRun
from bench.child_process import ChildFailedError
from bench.load_run import LoadClient
from bench.machine import describe_machine
from bench.part_result import RecordedPart
from bench.parts import PARTS
from bench.progress import showing
from bench.report import record
from bench.scale import FULL, SMOKE
from bench.toolchain import CACHE, ROOT, ToolchainError, build_load

if TYPE_CHECKING:
    from bench.progress import RunProgress
    from bench.scale import Scale

# The lanes are measured beside each other; who asks for one of them gets the part that has both.
_LANES = {"express": "paths", "managed": "paths"}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the mesh beside its alternatives.")
    parser.add_argument(
        "--only", default=",".join(PARTS), help=f"parts, separated by commas: {', '.join(PARTS)}; express is in paths"
    )
    parser.add_argument("--smoke", action="store_true", help="seconds of everything; the figures say nothing")
    parser.add_argument("--rounds", type=int, help="how often each figure is taken")
    parser.add_argument("--out", type=Path, help="where the report goes [default: bench, of a smoke run .cache]")
    asked = parser.parse_args()
    asked.only = ",".join(dict.fromkeys(_LANES.get(name, name) for name in asked.only.split(",")))
    unknown = sorted({*asked.only.split(",")} - {*PARTS})
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return asked


async def _run(names: list[str], scale: Scale, out: Path, progress: RunProgress) -> None:
    load = await build_load()
    command = " ".join(("python -m bench", *sys.argv[1:]))
    # Logs and state of the last run stay for whoever wants to see why it failed.
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=CACHE))
    for name in names:
        machine, began = describe_machine(), time.monotonic()
        part = BenchRun(scale, LoadClient(load, folder / name), folder / name, progress.part(name))
        result = await PARTS[name](part)
        seconds = time.monotonic() - began
        record(RecordedPart(result, f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", command, machine, seconds), out)
    shutil.rmtree(folder)


def main() -> int:
    """Runs what the command line asks for; gives the exit code."""
    asked = _arguments()
    scale = SMOKE if asked.smoke else FULL
    if asked.rounds:
        scale = replace(scale, rounds=asked.rounds)
    out = asked.out or (CACHE / "smoke" if asked.smoke else ROOT / "bench")
    try:
        with showing() as progress:
            asyncio.run(_run(asked.only.split(","), scale, out, progress))
    except (ToolchainError, ChildFailedError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"the report is {out / 'RESULTS.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
