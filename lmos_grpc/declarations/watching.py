"""Keeps the rules of a mesh in step with their files: what is sound comes into force, what is not is told."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lmos_grpc.declarations.reading import declaration_files, read_rules

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from lmos_grpc.declarations.problem import Problem
    from lmos_grpc.domain.rules import Rules

_LOG = logging.getLogger(__name__)
_INTERVAL_SECONDS = 1.0

Fingerprint = frozenset[tuple[str, int, int, int]]


class RulesWatch:
    """Looks every second whether a file is new, changed or gone, by its time, size and inode.

    `problems` are those of the last reading; while there are any, the rules of the one before are in force.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        use: Callable[[Rules], None],
        *,
        told: Callable[[RulesWatch], None] = lambda _watch: None,
        pause: Callable[[], Awaitable[None]] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._paths = paths
        self._use = use
        self._told = told
        self._pause = pause or self._wait
        self._now = now
        self._asked = asyncio.Event()
        self._seen: Fingerprint = frozenset()
        self.problems: tuple[Problem, ...] = ()
        self.summary = ""
        self.in_force_since = now()

    def start(self) -> None:
        """Reads the files for the first time.

        Raises:
            InvalidConfigurationError: something is wrong with them: a mesh does not start with rules that are not.
        """
        self._seen = fingerprint(self._paths)
        reading = read_rules(self._paths)
        self._put_in_force(reading.sound_rules(), reading.summary)

    def reload(self) -> None:
        """Reads the files now, changed or not."""
        self._seen = frozenset()
        self._asked.set()

    async def run(self) -> None:
        """Keeps in step until it is cancelled."""
        while True:
            await self._pause()
            self._asked.clear()
            await self.look()

    async def look(self) -> None:
        """Reads the files where they are not as they were; beside the loop, for a large folder takes a while."""
        seen = await asyncio.to_thread(fingerprint, self._paths)
        if seen == self._seen:
            return
        self._seen = seen
        reading = await asyncio.to_thread(read_rules, self._paths)
        if not reading.problems:
            self._put_in_force(reading.rules, reading.summary)
            _LOG.info("new rules are in force: %s", reading.summary)
            return
        self.problems = reading.problems
        for each in reading.problems:
            _LOG.error("the rules stay as they were: %s", each)
        self._told(self)

    def _put_in_force(self, rules: Rules, summary: str) -> None:
        self._use(rules)
        self.problems, self.summary, self.in_force_since = (), summary, self._now()
        self._told(self)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(_INTERVAL_SECONDS):
                await self._asked.wait()
        except TimeoutError:
            return


def fingerprint(paths: Sequence[Path]) -> Fingerprint:
    """What tells one state of the files from another."""
    found: set[tuple[str, int, int, int]] = set()
    for path in declaration_files(paths):
        try:
            known = path.stat()
        except OSError:
            found.add((str(path), 0, 0, 0))
        else:
            found.add((str(path), known.st_mtime_ns, known.st_size, known.st_ino))
    return frozenset(found)
