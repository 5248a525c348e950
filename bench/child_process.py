"""Child processes that tell what they do as JSON lines."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_LONGEST_LINE = 1 << 20  # ten thousand addresses
_END_SECONDS = 20.0
_LOOK_SECONDS = 0.02
_LOG_TAIL = 800


class ChildFailedError(Exception):
    """A process of the benchmark ended too early, or did not say what it was to say in time."""


@dataclass(frozen=True, slots=True)
class ChildProcess:
    """A running child; its complaints are in a log."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    async def said(self, event: str, limit_seconds: float) -> dict[str, Any]:  # Any: JSON values
        """The next line about this event.

        Raises:
            ChildFailedError: it did not come.
        """
        assert self.process.stdout is not None  # noqa: S101 - it was started with a pipe
        try:
            async with asyncio.timeout(limit_seconds):
                async for line in self.process.stdout:
                    found = _spoken(line)
                    if found.get("event") == event:
                        return found
        except TimeoutError:
            raise self._failed(f"did not say {event!r} within {limit_seconds:g} s") from None
        raise self._failed(f"ended before it said {event!r}")

    def close_input(self) -> None:
        """Tells a load process to come to its end."""
        assert self.process.stdin is not None  # noqa: S101 - it was started with a pipe
        self.process.stdin.close()

    def _failed(self, what: str) -> ChildFailedError:
        tail = self.log.read_text("utf-8", "replace")[-_LOG_TAIL:]
        return ChildFailedError(f"{self.name} {what}; its log ends: {tail}")


def _spoken(line: bytes) -> dict[str, Any]:  # Any: JSON values
    # Some frameworks print what they do between what we ask for.
    return dict(json.loads(line)) if line.startswith(b"{") else {}


@asynccontextmanager
async def child_process(name: str, *command: str, folder: Path, cwd: Path | None = None) -> AsyncIterator[ChildProcess]:
    """Runs a command until the block ends; its standard error goes to a log in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - nothing else runs yet that could wait
    log = folder / f"{name}.log"
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            limit=_LONGEST_LINE,
            start_new_session=True,  # Ctrl-C is for us, who end all in order
        )
    try:
        yield ChildProcess(name, process, log)
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        # Not `process.terminate`: it reaps a child that has just ended, and its watcher then complains.
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                # Not `process.wait`: it waits for the ends of the pipes as well, which others may hold.
                while process.returncode is None:  # noqa: ASYNC110 - nobody announces it
                    await asyncio.sleep(_LOOK_SECONDS)
    # It has a session of its own. What it started and left behind would hold its pipes open, and us with them.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.communicate()
