"""What the operating system says that processes used."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_TICKS = os.sysconf("SC_CLK_TCK")
_USER_TIME = 11  # counted from the field after the name, see proc_pid_stat(5)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process with all its threads since it began, in user and system mode."""
    # The name stands in brackets, and may hold blanks and brackets itself.
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[_USER_TIME]) + int(fields[_USER_TIME + 1])) / _TICKS


def resident_mb(pid: int) -> float:
    """Memory of a process that is in RAM, in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def family_mb(pid: int) -> float:
    """Memory of a process and of all that it and its children started; what ended meanwhile has none."""
    with suppress(OSError):
        return resident_mb(pid) + sum(family_mb(each) for each in _children_of_all_threads(pid))
    return 0.0


def cpu_by_name(pids: Mapping[str, int]) -> dict[str, float]:
    """CPU time of several processes."""
    return {name: cpu_seconds(pid) for name, pid in pids.items()}


def children(pid: int) -> list[int]:
    """The processes that a process started from its main thread."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()]


def _children_of_all_threads(pid: int) -> list[int]:
    started = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(each) for thread in started for each in thread.read_text("utf-8").split()]
