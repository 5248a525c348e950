"""Programs of others, as a stranger to the mesh would use them: found or skipped, started, read while they run."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LIMIT_SECONDS = 20


def tool(name: str) -> str:
    """Where the program is. Without it the test is skipped, or fails where LMOS_TEST_REQUIRE names the program."""
    beside_python = Path(sys.executable).with_name(name)
    found = str(beside_python) if beside_python.exists() else shutil.which(name)
    if found:
        return found
    if name in os.environ.get("LMOS_TEST_REQUIRE", "").split(","):
        pytest.fail(f"LMOS_TEST_REQUIRE asks for {name}, and there is no `{name}` in the PATH")
    pytest.skip(f"there is no `{name}` in the PATH")


class Running:
    """A program that runs; what it prints is read as it comes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._unread = ""

    def write(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line.encode() + b"\n")

    def end_input(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()

    async def json(self) -> dict[str, Any]:
        """The next JSON value, as soon as all of it was printed, however many lines it has."""
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self._unread)
            except ValueError:
                self._unread += await self._more()
                self._unread = self._unread.lstrip()
            else:
                self._unread = self._unread[end:].lstrip()
                assert isinstance(value, dict)
                return value

    async def server_sent_event(self) -> dict[str, Any]:
        """The data of the next server-sent event, as soon as the blank line after it was printed."""
        while "\n\n" not in self._unread:
            self._unread += await self._more()
        event, _, self._unread = self._unread.partition("\n\n")
        assert event.startswith("data: ")
        value: dict[str, Any] = json.loads(event.removeprefix("data: "))
        return value

    async def end(self) -> tuple[int, str]:
        """Waits for its end; gives the exit code and what it complained about."""
        assert self.process.stderr
        async with asyncio.timeout(_LIMIT_SECONDS):
            complaints = await self.process.stderr.read()
            return await self.process.wait(), complaints.decode()

    async def _more(self) -> str:
        assert self.process.stdout
        async with asyncio.timeout(_LIMIT_SECONDS):
            data = await self.process.stdout.read(65_536)
        if not data:
            code, complaints = await self.end()
            raise AssertionError(f"it ended with code {code} and printed no more: {complaints}")
        return data.decode()


@asynccontextmanager
async def running(name: str, *arguments: str) -> AsyncIterator[Running]:
    """A program, killed at the end of the block where it still runs."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(tool(name), *arguments, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def output_of(name: str, *arguments: str, sent: bytes = b"") -> bytes:
    """What a program prints from its start to its end."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(tool(name), *arguments, stdin=pipe, stdout=pipe, stderr=pipe)
    async with asyncio.timeout(_LIMIT_SECONDS):
        printed, complaints = await process.communicate(sent)
    assert process.returncode == 0, complaints.decode()
    return printed
