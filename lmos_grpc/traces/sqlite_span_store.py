"""The last traces in an SQLite file: one thread writes, anybody may read at the same time."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from lmos_grpc.errors import EnvironmentFaultError, StoreUnavailableError
from lmos_grpc.traces.span import Trace, by_start, summarise
from lmos_grpc.traces.wire import spans_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator
    from pathlib import Path

    from lmos_grpc.traces.span import Span, TracePiece, TraceSummary

    _Row = tuple[str | int | bytes, ...]

KEEP_TRACES = 1_000
# A trace that never ends, such as one around a stream that stays open for days, must not fill the disk. What one
# addition brings may go beyond, once.
KEEP_SPANS_OF_A_TRACE = 2_000
_BUSY_SECONDS = 2.0
_SCHEMA_VERSION = 2
_SCHEMA = f"""
PRAGMA user_version = {_SCHEMA_VERSION};
CREATE TABLE IF NOT EXISTS traces (
  trace_id TEXT PRIMARY KEY,
  last_added INTEGER NOT NULL,
  span_count INTEGER NOT NULL -- of those that were sent; one that was sent twice counts twice
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS traces_by_last_added ON traces (last_added);
CREATE TABLE IF NOT EXISTS spans (
  trace_id TEXT NOT NULL,
  service TEXT NOT NULL,
  spans BLOB NOT NULL -- ScopeSpans of OTLP
);
CREATE INDEX IF NOT EXISTS spans_by_trace ON spans (trace_id);
"""
# Many rows are one statement: SQLite gives up the interpreter's lock at every step. Beside a busy event loop a thousand
# steps took four times as long as this.
_ROWS_AT_ONCE = 64
_ADD_SPANS = """
    INSERT INTO spans SELECT * FROM (VALUES {rows}) WHERE NOT EXISTS (
      SELECT 1 FROM traces WHERE trace_id = column1 AND span_count >= {most}
    )
"""
_ADD_TRACES = """
    INSERT INTO traces SELECT column1, (SELECT coalesce(max(last_added), 0) FROM traces) + column2, column3
    FROM (VALUES {rows}) WHERE true
    ON CONFLICT (trace_id) DO UPDATE SET
      last_added = excluded.last_added, span_count = min(span_count + excluded.span_count, {most})
"""
_PRUNE = (
    "CREATE TEMP TABLE outdated AS SELECT trace_id FROM traces ORDER BY last_added DESC LIMIT -1 OFFSET :keep",
    "DELETE FROM spans WHERE trace_id IN outdated",
    "DELETE FROM traces WHERE trace_id IN outdated",
    "DROP TABLE outdated",
)


class SqliteSpanStore:
    """Writes spans in one transaction per `add`, from one thread; made by `open_span_store`."""

    def __init__(self, connection: sqlite3.Connection, thread: ThreadPoolExecutor, keep: int) -> None:
        self._connection = connection
        self._thread = thread
        self._keep = keep

    async def add(self, pieces: Iterable[TracePiece]) -> None:
        """As `SpanStore.add`."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._add, pieces)

    def _add(self, pieces: Iterable[TracePiece]) -> None:
        kept = [(piece.trace_id.hex(), piece.service, piece.spans, piece.span_count) for piece in pieces]
        counts: dict[str, int] = {}
        for trace_id, _, _, count in kept:
            counts[trace_id] = counts.get(trace_id, 0) + count
        with _reporting("write traces"), self._connection:
            self._insert(_ADD_SPANS, [row[:3] for row in kept])
            self._insert(
                _ADD_TRACES, [(trace_id, 1 + place, counts[trace_id]) for place, trace_id in enumerate(counts)]
            )
            for statement in _PRUNE:
                self._connection.execute(statement, {"keep": self._keep} if ":keep" in statement else {})

    def _insert(self, statement: str, rows: list[_Row]) -> None:
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            written = statement.format(rows=", ".join(["(?, ?, ?)"] * len(some)), most=KEEP_SPANS_OF_A_TRACE)
            self._connection.execute(written, [value for row in some for value in row])


@asynccontextmanager
async def open_span_store(path: Path, *, keep: int = KEEP_TRACES) -> AsyncIterator[SqliteSpanStore]:
    """Opens the file for writing, or makes it, and keeps the last `keep` traces in it.

    Traces of another version of the schema are thrown away: they are a convenience, not a record.

    Raises:
        StoreUnavailableError: the file cannot be opened or is no database.
    """
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="span-store") as thread:
        connection = await loop.run_in_executor(thread, _open_for_writing, path)
        try:
            yield SqliteSpanStore(connection, thread, keep)
        finally:
            await loop.run_in_executor(thread, connection.close)


def _open_for_writing(path: Path) -> sqlite3.Connection:
    with _reporting(f"open {path}"):
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS)
        # A crash may lose the last traces, which is no harm; it never breaks the file.
        connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")
        if connection.execute("PRAGMA user_version").fetchone()[0] not in {0, _SCHEMA_VERSION}:
            connection.executescript("DROP TABLE IF EXISTS spans; DROP TABLE IF EXISTS traces;")
        connection.executescript(_SCHEMA)
        return connection


class SqliteSpanReader:
    """Reads while another process or thread writes; made by `open_span_reader`. Not shared between threads."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def list_traces(self, limit: int) -> tuple[TraceSummary, ...]:
        """As `SpanReader.list_traces`."""
        with _reporting("read traces"):
            ids = self._connection.execute(
                "SELECT trace_id FROM traces ORDER BY last_added DESC LIMIT ?", (max(0, limit),)
            ).fetchall()
            traces = [self._trace(trace_id) for (trace_id,) in ids]
        found = [summarise(trace) for trace in traces if trace is not None]
        return tuple(sorted(found, key=lambda summary: -summary.started_at_ns))

    def get_trace(self, trace_id: str) -> Trace | None:
        """As `SpanReader.get_trace`."""
        matching = self.matching_ids(trace_id, limit=2)
        if len(matching) != 1:
            return None
        with _reporting("read a trace"):
            return self._trace(matching[0])

    def matching_ids(self, prefix: str, limit: int = 10) -> tuple[str, ...]:
        """As `SpanReader.matching_ids`."""
        start = prefix.lower()
        if not start or not set(start) <= set("0123456789abcdef"):
            return ()
        with _reporting("read traces"):
            rows = self._connection.execute(
                # "g" follows every hex digit.
                "SELECT trace_id FROM traces WHERE trace_id >= ? AND trace_id < ? ORDER BY trace_id LIMIT ?",
                (start, start + "g", limit),
            ).fetchall()
        return tuple(trace_id for (trace_id,) in rows)

    def _trace(self, trace_id: str) -> Trace | None:
        rows = self._connection.execute(
            "SELECT service, spans FROM spans WHERE trace_id = ? ORDER BY rowid", (trace_id,)
        ).fetchall()
        found: dict[str, Span] = {}
        for service, written in rows:
            for span in spans_of(service, written):
                found.setdefault(span.span_id, span)
        # Pruned between two queries: the trace is gone.
        return Trace(trace_id, by_start(islice(found.values(), KEEP_SPANS_OF_A_TRACE))) if found else None


@contextmanager
def open_span_reader(path: Path) -> Iterator[SqliteSpanReader]:
    """Opens the file for reading only; a writer may be at work, in this process or another, or gone.

    Raises:
        EnvironmentFaultError: there is no such file.
        StoreUnavailableError: the file cannot be read or is no database of traces.
    """
    if not path.is_file():
        raise EnvironmentFaultError(
            f"no traces at {path}: no mesh has run with this state directory yet. Start one with `lmos up`.",
            path=str(path),
        )
    with _reporting(f"open {path}"):
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
    try:
        yield SqliteSpanReader(connection)
    finally:
        connection.close()


@contextmanager
def _reporting(what: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreUnavailableError(f"cannot {what}: {error}") from error
