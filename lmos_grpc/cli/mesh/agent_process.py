"""Agents, and other parts of a mesh, as child processes: started, listened to, started again, and drained."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import deque
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

_DRAIN_LIMIT = timedelta(seconds=35)  # agents give their turns 30 s
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=1), timedelta(seconds=30)
_WELL_AFTER = timedelta(seconds=60)
_KEPT_LINES = 3
_LONGEST_LINE = 64 * 1024


@dataclass(frozen=True, slots=True)
class AgentCommand:
    """How to start an agent: what to run and where; `name` is what people are told. `verb` is that of `lmos`."""

    name: str
    target: str
    folder: Path
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    verb: tuple[str, ...] = ("agent", "run")


@dataclass(slots=True)
class AgentProcess:
    """An agent in a process of its own."""

    command: AgentCommand
    process: asyncio.subprocess.Process
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))
    last_code: int | None = None

    async def keep(self, tell: Callable[[str], None], tell_log: Callable[[str], None], *, restart: bool) -> None:
        """Passes its log on and tells if it ended by itself; then it is started again, after a while."""
        pause = _FIRST_PAUSE
        while True:
            began = time.monotonic()
            told = await self._follow(tell_log)
            if self.draining.is_set():
                return
            if not restart:
                tell(told)
                return
            pause = _FIRST_PAUSE if time.monotonic() - began > _WELL_AFTER.total_seconds() else pause
            tell(f"{told}; starting it again in {pause.total_seconds():g} s")
            if await self._drains_within(pause):
                return
            pause = min(2 * pause, _LONGEST_PAUSE)
            self.last_lines.clear()
            self.process = await _start(self.command)
            if self.draining.is_set():
                self.drain()

    async def _drains_within(self, span: timedelta) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(span.total_seconds()):
                await self.draining.wait()
        return self.draining.is_set()

    async def _follow(self, tell_log: Callable[[str], None]) -> str:
        async for line in _lines(self.process.stderr):
            self.last_lines.append(line)
            tell_log(f"[{self.command.name}] {line}")
        self.last_code = await self.process.wait()
        why = f": {' / '.join(self.last_lines)}" if self.last_lines else ""
        return f"! {self.command.name} ended by itself with code {self.last_code}{why}"

    def drain(self) -> None:
        """Asks it to finish what runs and to end."""
        self.draining.set()
        if self.process.returncode is None:
            self.process.terminate()


@asynccontextmanager
async def agent_processes(
    commands: Sequence[AgentCommand],
    *,
    tell: Callable[[str], None],
    tell_log: Callable[[str], None],
    drain_limit: timedelta = _DRAIN_LIMIT,
    restart: bool = False,
) -> AsyncIterator[tuple[AgentProcess, ...]]:
    """Runs agents until the block ends, and then drains them all at once.

    One that dies is told, and with `restart` started again, later each time if it does not live for a minute.
    """
    running: list[AgentProcess] = []
    async with asyncio.TaskGroup() as group:
        try:
            for command in commands:
                running.append(AgentProcess(command, await _start(command)))
                group.create_task(running[-1].keep(tell, tell_log, restart=restart))
            yield tuple(running)
        finally:
            await _drain(running, drain_limit)


async def _start(command: AgentCommand) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "lmos_grpc.cli", *command.verb, command.target, "--with-parent", *command.options),
        cwd=command.folder,
        env={**os.environ, **command.environment},
        # Its end tells the child that we are gone, however we went.
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
        # Ctrl-C in the terminal is for us, who drain in order.
        start_new_session=True,
    )


async def _drain(running: list[AgentProcess], limit: timedelta) -> None:
    for each in running:
        each.drain()
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(limit.total_seconds()):
                for each in running:
                    await each.process.wait()
    finally:
        for each in running:
            if each.process.returncode is None:
                each.process.kill()
    for each in running:
        await each.process.wait()


async def _lines(stream: asyncio.StreamReader | None) -> AsyncIterator[str]:
    while stream is not None:
        try:
            line = await stream.readline()
        except ValueError:  # longer than the limit; what is left of it comes next
            continue
        if not line:
            return
        yield line.decode("utf-8", "replace").rstrip()
