"""Threads that read from an SQLite file while another one writes to it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lmos_grpc.conversation.group_commit import store_unavailable
from lmos_grpc.conversation.sqlite_file import open_for_reading
from lmos_grpc.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TypeVar

    T = TypeVar("T")

# Two, so that a long list of turns does not hold up the short reads that every turn needs.
_THREADS = 2


class SqliteReaders:
    """Runs queries in threads of their own; made by `open_readers`."""

    def __init__(self, threads: ThreadPoolExecutor, connections: deque[sqlite3.Connection]) -> None:
        self._threads = threads
        # As many as threads, so that whoever runs finds one.
        self._connections = connections
        self._closed = False

    def close(self) -> None:
        """Takes no more queries."""
        self._closed = True

    async def run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """The answer to a query.

        Raises:
            StoreUnavailableError: the file cannot be read, or the log is closed.
        """
        if self._closed:
            raise StoreUnavailableError("the conversation log is closed")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, query)

    def _run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connections.pop()
        try:
            return query(connection)
        except sqlite3.Error as error:
            raise store_unavailable(error) from error
        finally:
            self._connections.append(connection)


@contextmanager
def open_readers(path: Path) -> Iterator[SqliteReaders]:
    """Reads from a file that a writer has opened before."""
    connections = deque(open_for_reading(path) for _ in range(_THREADS))
    try:
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="turn-log-reader") as threads:
            readers = SqliteReaders(threads, connections)
            try:
                yield readers
            finally:
                readers.close()
    finally:
        for connection in connections:
            connection.close()
