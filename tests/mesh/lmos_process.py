"""`lmos` as a process: started, read line by line, and ended."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_LIMIT_SECONDS = 30.0
_FREE = ("--edge", "127.0.0.1:0", "--internal", "127.0.0.1:0", "--metrics", "127.0.0.1:0")

AGENT = """
import asyncio
from lmos_grpc import Agent

agent = Agent("desk-agent", version="1.0.0", description="Answers and asks.")


@agent.capability("greet", version="1.0.0", examples={"en": ["hello there"]})
async def greet(turn):
    yield f"Hello from {turn.conversation_id}."


@agent.capability("choose", version="1.0.0", examples={"en": ["let me choose"]})
async def choose(turn):
    answer = turn.answered("colour")
    if answer is None:
        yield turn.ask("Which colour?", options={"r": "Red", "b": "Blue"}, id="colour")
    else:
        yield f"You chose {answer.option_id}."


@agent.capability("count", version="1.0.0", examples={"en": ["count for ever"]})
async def count(turn):
    number = 0
    while True:
        number += 1
        yield f"{number} "
        await asyncio.sleep(0.01)
"""


class LmosProcess:
    """A running `lmos` whose standard output is read as JSON lines."""

    def __init__(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lmos_grpc.cli", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next JSON line that is wanted."""
        while True:
            line = self._lines.get(timeout=_LIMIT_SECONDS)
            if line is None:
                raise AssertionError(f"lmos ended before: {self.process.stderr.read() if self.process.stderr else ''}")
            found: dict[str, Any] = json.loads(line)
            if wanted(found):
                return found

    def interrupt(self) -> int:
        """Ctrl-C; gives the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(_LIMIT_SECONDS)

    def end(self) -> None:
        """Ends it, however it is."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self._lines.put(line)
        self._lines.put(None)


@contextmanager
def lmos(*arguments: str) -> Iterator[LmosProcess]:
    """A running `lmos`, ended at the end of the block."""
    running = LmosProcess(*arguments)
    try:
        yield running
    finally:
        running.end()


@contextmanager
def mesh_up(folder: Path) -> Iterator[tuple[LmosProcess, dict[str, Any]]]:
    """`lmos up` with one agent of the test, which is there when the block begins; and what it said of itself."""
    agent = folder / "desk.py"
    agent.write_text(AGENT, "utf-8")
    with lmos("up", "--json", "--state", str(folder / "state"), *_FREE, "--agents", str(agent)) as running:
        ready = running.wait_for(lambda line: line["event"] == "ready")
        running.wait_for(lambda line: line["event"] == "agent" and line["ready"] == 1)
        yield running, ready


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not yet reaped does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:  # noqa: PTH123 - not a file of ours
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:  # noqa: PTH123 - not a file of ours
        return [int(each) for each in file.read().split()]


def envoys(pid: int) -> list[int]:
    """The Envoys among the processes that a process started; a pool of processes leaves its tracker behind, too."""
    return [each for each in children(pid) if Path(f"/proc/{each}/exe").resolve().name == "envoy"]
