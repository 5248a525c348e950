"""Environments of their own for what must not share ours, made from PyPI."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from bench.toolchain import CACHE

if TYPE_CHECKING:
    from pathlib import Path

_INSTALL_SECONDS = 300
_REASON = 300


class InstallFailedError(Exception):
    """A package does not install here; the message tells why."""


async def python_with(name: str, requirements: tuple[str, ...], *, install: bool) -> Path:
    """The Python of an environment with these packages, made where it is not there yet.

    Raises:
        InstallFailedError: it cannot be made, or it is not there and is not to be made.
    """
    folder = CACHE / f"peer-{name}"
    python, note, wanted = folder / "bin" / "python", folder / "installed.txt", "\n".join(requirements)
    if _read(note) == wanted:
        return python
    if not install:
        raise InstallFailedError("not installed yet, and a smoke run installs nothing")
    await _run(sys.executable, "-m", "venv", "--clear", str(folder))
    await _run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements)
    _write(note, wanted)
    return python


def _read(note: Path) -> str:
    with suppress(OSError):
        return note.read_text("utf-8")
    return ""


def _write(note: Path, text: str) -> None:
    note.write_text(text, "utf-8")


async def _run(*command: str) -> None:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL, stderr=pipe)
    try:
        async with asyncio.timeout(_INSTALL_SECONDS):
            _, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()
        raise InstallFailedError(f"the installation took longer than {_INSTALL_SECONDS} s") from None
    if process.returncode:
        raise InstallFailedError(errors.decode("utf-8", "replace").strip()[-_REASON:])
