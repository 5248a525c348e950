"""Keeps the registry in a SQLite file."""

from __future__ import annotations

import asyncio
import itertools
import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from lmos_grpc.discovery.registry_store import RegistryState, StoredRegistry
from lmos_grpc.discovery.wire import instance_from_bytes, instance_to_bytes
from lmos_grpc.errors import EnvironmentFaultError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path
    from typing import TypeVar

    from lmos_grpc.discovery.registry_store import RegistryChanges

    T = TypeVar("T")

_LOG = logging.getLogger(__name__)
_LAYOUT = 1
# A predecessor that is just ending still holds the file.
_LOCK_WAIT = timedelta(seconds=5)
_SCHEMA = f"""
CREATE TABLE registry (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  registry_id TEXT NOT NULL,
  revision INTEGER NOT NULL,
  last_epoch INTEGER NOT NULL,
  clean INTEGER NOT NULL
) STRICT;
CREATE TABLE instance (instance_id TEXT PRIMARY KEY, record BLOB NOT NULL) STRICT, WITHOUT ROWID;
PRAGMA user_version = {_LAYOUT};
"""


class SqliteRegistryStore:
    """A `RegistryStore` in one file, of which this process holds the lock; one thread does all of its work.

    Commits survive the end of the process, but not always that of the machine (WAL with synchronous=NORMAL):
    the agents of a machine that lost power are gone as well.
    """

    def __init__(self, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._thread = thread

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, *, lock_wait: timedelta = _LOCK_WAIT) -> AsyncIterator[SqliteRegistryStore]:
        """The store in the file at `path`, which is made where it is missing.

        A damaged file is moved aside with a warning, and the store is empty: agents register again by themselves.

        Raises:
            EnvironmentFaultError: the file cannot be opened, or another process holds it.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="registry-store") as thread:
            loop = asyncio.get_running_loop()
            connection = await loop.run_in_executor(thread, _connect, path, lock_wait)
            try:
                yield cls(connection, thread)
            finally:
                await loop.run_in_executor(thread, connection.close)

    async def load(self) -> StoredRegistry | None:
        """See `RegistryStore`."""
        return await self._run(lambda: _load(self._connection))

    async def save(self, changes: RegistryChanges) -> None:
        """See `RegistryStore`."""
        await self._run(lambda: _save(self._connection, changes))

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise StoreUnavailableError(f"SQLite: {error}") from error


def _connect(path: Path, lock_wait: timedelta) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _open_checked(path, lock_wait)
        except sqlite3.OperationalError:
            raise
        except (sqlite3.DatabaseError, DecodeError) as error:
            _move_aside(path, error)
            return _open_checked(path, lock_wait)
    except (OSError, sqlite3.OperationalError) as error:
        raise EnvironmentFaultError(
            f"cannot open the registry's file {path}: {error}. If it is locked, another discovery process uses it; "
            "else check that its folder can be written to.",
            path=str(path),
        ) from error


def _open_checked(path: Path, lock_wait: timedelta) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=lock_wait.total_seconds(), isolation_level=None, check_same_thread=False)
    try:
        # Exclusive: two registries in one file would undo each other's leases.
        connection.executescript("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")
        _check_layout(connection)
        _load(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_layout(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN EXCLUSIVE")
    layout = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    connection.execute("COMMIT")
    if layout == 0 and tables == 0:
        connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
    elif layout != _LAYOUT:
        raise sqlite3.DatabaseError(f"its layout is {layout}, this version reads {_LAYOUT}")
    if (finding := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise sqlite3.DatabaseError(finding)


def _move_aside(path: Path, cause: Exception) -> None:
    aside = next(
        each for number in itertools.count(1) if not (each := path.with_name(f"{path.name}.damaged-{number}")).exists()
    )
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    _LOG.warning(
        "the registry's file %s cannot be read (%s): moved to %s. The registry starts empty; agents register again "
        "with their next renewal.",
        path,
        cause,
        aside,
    )


def _load(connection: sqlite3.Connection) -> StoredRegistry | None:
    counters = connection.execute("SELECT registry_id, revision, last_epoch, clean FROM registry").fetchone()
    if counters is None:
        return None
    registry_id, revision, last_epoch, clean = counters
    with closing(connection.execute("SELECT record FROM instance ORDER BY instance_id")) as rows:
        instances = tuple(instance_from_bytes(record) for (record,) in rows)
    return StoredRegistry(RegistryState(registry_id, revision, last_epoch, instances), clean=bool(clean))


def _save(connection: sqlite3.Connection, changes: RegistryChanges) -> None:
    with connection:
        connection.execute("BEGIN")
        if changes.whole:
            connection.execute("DELETE FROM instance")
        connection.executemany("DELETE FROM instance WHERE instance_id = ?", ((each,) for each in changes.removed_ids))
        connection.executemany(
            "INSERT OR REPLACE INTO instance VALUES (?, ?)",
            ((each.instance_id, instance_to_bytes(each)) for each in changes.puts),
        )
        connection.execute(
            "INSERT OR REPLACE INTO registry VALUES (1, ?, ?, ?, ?)",
            (changes.registry_id, changes.revision, changes.last_epoch, changes.clean),
        )
