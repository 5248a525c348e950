"""What the benchmark reads of processes, and how it runs them."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from bench.child_process import ChildFailedError, child_process
from bench.decisions import decision_times_ms
from bench.process_figures import cpu_by_name, cpu_seconds, resident_mb

_WAITING = "import json, sys; print(json.dumps({'event': 'ready', 'it': 7}), flush=True); sys.stdin.read()"


def test_cpu_of_a_process_grows_with_its_work() -> None:
    before, until = cpu_seconds(os.getpid()), time.process_time() + 0.1
    while time.process_time() < until:
        pass
    assert cpu_by_name({"own": os.getpid()})["own"] - before > 0.05
    assert resident_mb(os.getpid()) > 10


async def test_a_child_is_heard_and_ends_with_the_block(tmp_path: Path) -> None:
    async with child_process("child", sys.executable, "-c", _WAITING, folder=tmp_path) as child:
        assert await child.said("ready", 20) == {"event": "ready", "it": 7}
    assert child.process.returncode is not None


async def test_a_child_that_ends_too_early_is_told_with_its_last_words(tmp_path: Path) -> None:
    broken = "import sys; sys.exit('no such thing')"
    async with child_process("child", sys.executable, "-c", broken, folder=tmp_path) as child:
        with pytest.raises(ChildFailedError, match=r"child ended before it said 'ready'.*no such thing"):
            await child.said("ready", 20)


async def test_a_child_that_says_nothing_is_told_after_the_limit(tmp_path: Path) -> None:
    async with child_process("child", sys.executable, "-c", "input()", folder=tmp_path) as child:
        with pytest.raises(ChildFailedError, match=r"did not say 'ready' within 0\.1 s"):
            await child.said("ready", 0.1)


def test_every_decision_of_the_router_is_timed() -> None:
    times = list(decision_times_ms(20, 5))
    assert len(times) == 5
    assert all(each > 0 for each in times)


async def test_what_a_child_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    leaves = (
        "import json, subprocess, sys; left = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        "print(json.dumps({'event': 'ready', 'left': left.pid}), flush=True); sys.stdin.read()"
    )
    async with child_process("child", sys.executable, "-c", leaves, folder=tmp_path) as child:
        left = (await child.said("ready", 20))["left"]
    assert await asyncio.to_thread(_ends, left, seconds=20)


def _ends(pid: int, *, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while Path(f"/proc/{pid}").exists() and "(zombie)" not in Path(f"/proc/{pid}/status").read_text("utf-8"):
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True
