"""Live sessions between two processes in an SQLite file, which several processes of a machine may open at once."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING

from lmos_grpc.agent_service.session_store import SessionSnapshot
from lmos_grpc.agent_service.wire import known_to_json, start_to_bytes, state_from_bytes
from lmos_grpc.errors import StoreUnavailableError
from lmos_grpc.wire.framed_event import join_frames, split_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_BUSY_SECONDS = 2.0
_FOR_THE_OWNER = 0o600
_SCHEMA = """
CREATE TABLE IF NOT EXISTS session (
  token BLOB PRIMARY KEY,
  tenant TEXT NOT NULL,
  known TEXT NOT NULL,
  start BLOB NOT NULL,
  first_sequence INTEGER NOT NULL,
  events BLOB NOT NULL,
  kept_until INTEGER NOT NULL
);
"""


class SqliteSessionStore:
    """A `SessionStore` in a file that is opened for each call: sessions move seldom."""

    def __init__(self, path: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._path = path
        self._now = now
        # SQLite's own waiting for each other is unfair, and many sessions move at once.
        self._turn = Lock()

    async def keep(self, snapshot: SessionSnapshot, until: datetime) -> None:
        """As `SessionStore.keep`."""
        await asyncio.to_thread(self._keep, snapshot, until)

    async def claim(self, token: str, tenant: str) -> SessionSnapshot | None:
        """As `SessionStore.claim`."""
        return await asyncio.to_thread(self._claim, token, tenant)

    def _keep(self, snapshot: SessionSnapshot, until: datetime) -> None:
        state = snapshot.state
        row = (
            _digest(state.token),
            state.context.tenant,
            known_to_json(state),
            start_to_bytes(state),
            snapshot.first,
            join_frames(snapshot.frames),
            int(until.timestamp()),
        )
        with self._connection() as connection:
            connection.execute("INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def _claim(self, token: str, tenant: str) -> SessionSnapshot | None:
        now = int(self._now().timestamp())
        if not self._path.exists():
            return None
        with self._connection() as connection:
            connection.execute("DELETE FROM session WHERE kept_until < ?", (now,))
            found = connection.execute(
                "DELETE FROM session WHERE token = ? AND tenant = ? RETURNING known, start, first_sequence, events",
                (_digest(token), tenant),
            ).fetchone()
        if found is None:
            return None
        known, start, first, events = found
        return SessionSnapshot(state_from_bytes(known, start, token, tenant), first, tuple(split_frames(events)))

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with self._turn, _our_errors(self._path):
            # What people said is for the owner's eyes.
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, _FOR_THE_OWNER))
            with closing(sqlite3.connect(self._path, timeout=_BUSY_SECONDS)) as connection:
                # Read by the next process, and worth nothing after a power failure: nobody has to wait for the disk.
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = OFF")
                # What was claimed is not to be found in the file's free pages.
                connection.execute("PRAGMA secure_delete = ON")
                connection.executescript(_SCHEMA)
                with connection:
                    yield connection


@contextmanager
def _our_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailableError(f"the live sessions in {path} cannot be used: {error}") from error


def _digest(token: str) -> bytes:
    # Who reads the file cannot take up a session with what stands in it.
    return hashlib.sha256(token.encode()).digest()
