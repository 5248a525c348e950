"""One thread that writes to an SQLite file: what is submitted while it syncs shares the next transaction."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

from lmos_grpc.errors import LmosError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import TypeVar

    T = TypeVar("T")
    Work = Callable[[sqlite3.Connection], T]

_MAX_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class _Write:
    work: Work[Any]  # Any: writes of every result share one queue
    done: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Settled:
    done: asyncio.Future[Any]
    result: Any = None  # Any: as in _Write
    error: Exception | None = None

    def settle(self) -> None:
        if self.done.done():
            return
        if self.error is None:
            self.done.set_result(self.result)
        else:
            self.done.set_exception(self.error)


class GroupCommit:
    """Runs writes in the order in which they were submitted; made by `open_group_commit`.

    The queue has no limit of its own: each writer waits for its write, so there are never more than writers.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Write | None] = SimpleQueue()
        self._thread = Thread(target=self._write_until_closed, name="turn-log-writer")
        self._closed = False

    def submit(self, work: Work[T]) -> asyncio.Future[T]:
        """Queues a write; the future is done when it is on the disk. Cancelled before its turn, it does not run.

        The work may raise LmosError as long as it has written nothing, and may be run a second time.

        Raises:
            StoreUnavailableError: the log is closed.
        """
        self.require_open()
        done: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Write(work, done))
        return done

    def require_open(self) -> None:
        """Checks that writes are taken.

        Raises:
            StoreUnavailableError: the log is closed.
        """
        if self._closed:
            raise StoreUnavailableError("the conversation log is closed")

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

    async def close(self) -> None:
        """Writes what is queued, and closes the file."""
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _write_until_closed(self) -> None:
        closing = False
        while not closing:
            batch = [self._queue.get()]
            with suppress(Empty):
                while len(batch) < _MAX_BATCH:
                    batch.append(self._queue.get_nowait())
            closing = None in batch
            settled = self._commit([write for write in batch if write is not None and not write.done.cancelled()])
            self._loop.call_soon_threadsafe(_settle, settled)
        self._connection.close()

    def _commit(self, batch: list[_Write]) -> list[_Settled]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            return [_Settled(write.done, error=store_unavailable(error)) for write in batch]
        try:
            settled = [self._run(write) for write in batch]
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 # a defect in one write has to reach its caller, not end everybody's thread
            with suppress(sqlite3.Error):  # SQLite has rolled back by itself after some of its errors
                self._connection.execute("ROLLBACK")
            return self._one_by_one(batch, error)
        return settled

    def _one_by_one(self, batch: list[_Write], error: Exception) -> list[_Settled]:
        """What one write got wrong, or has no room for, is not the fault of those beside it."""
        if len(batch) > 1:
            return [settled for write in batch for settled in self._commit([write])]
        return [_Settled(write.done, error=_named(error)) for write in batch]

    def _run(self, write: _Write) -> _Settled:
        try:
            return _Settled(write.done, result=write.work(self._connection))
        except LmosError as error:
            return _Settled(write.done, error=error)


def _settle(settled: list[_Settled]) -> None:
    for each in settled:
        each.settle()


def _named(error: Exception) -> Exception:
    return store_unavailable(error) if isinstance(error, sqlite3.Error) else error


def store_unavailable(error: sqlite3.Error) -> StoreUnavailableError:
    """The error of SQLite in our words."""
    return StoreUnavailableError(
        f"the conversation log cannot be used: {error}; see that its disk has room and nobody else holds the file"
    )


@asynccontextmanager
async def open_group_commit(connection: sqlite3.Connection) -> AsyncIterator[GroupCommit]:
    """Writes over a connection, which it closes at the end."""
    writer = GroupCommit(connection)
    writer.start()
    try:
        yield writer
    finally:
        await writer.close()
