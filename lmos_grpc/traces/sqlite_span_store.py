"""The last traces in an SQLite file: one thread writes, anybody may read at the same time."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from lmos_grpc.errors import EnvironmentFaultError, StoreUnavailableError
from lmos_grpc.traces.span import Span, SpanKind, SpanStatus, Trace, by_start, summarise

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator
    from pathlib import Path
    from typing import Any

    from lmos_grpc.traces.span import TraceSummary

    _Row = tuple[str | int, ...]

KEEP_TRACES = 1_000
# A trace that never ends, such as one around a stream that stays open for days, must not fill the disk. What one
# addition brings may go beyond, once.
KEEP_SPANS_OF_A_TRACE = 2_000
_BUSY_SECONDS = 2.0
_SCHEMA_VERSION = 1
_SCHEMA = f"""
PRAGMA user_version = {_SCHEMA_VERSION};
CREATE TABLE IF NOT EXISTS traces (
  trace_id TEXT PRIMARY KEY,
  last_added INTEGER NOT NULL,
  span_count INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS traces_by_last_added ON traces (last_added);
CREATE TABLE IF NOT EXISTS spans (
  trace_id TEXT NOT NULL,
  span_id TEXT NOT NULL,
  parent_span_id TEXT NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  service TEXT NOT NULL,
  started_at_ns INTEGER NOT NULL,
  duration_ns INTEGER NOT NULL,
  status TEXT NOT NULL,
  attributes TEXT NOT NULL,
  PRIMARY KEY (trace_id, span_id)
) WITHOUT ROWID;
"""
# A batch is one statement, whatever its size: SQLite gives up the interpreter's lock at every step. Beside a busy event
# loop a thousand steps took four times as long as this.
_ADD = (
    """
    INSERT OR IGNORE INTO spans
    SELECT
      json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
      json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),
      json_extract(value, '$[6]'), json_extract(value, '$[7]'), json_extract(value, '$[8]'),
      json_extract(value, '$[9]')
    FROM json_each(:spans)
    WHERE NOT EXISTS (
      SELECT 1 FROM traces WHERE trace_id = json_extract(value, '$[0]') AND span_count >= :keep_spans
    )
    """,
    """
    INSERT INTO traces
    SELECT
      value,
      (SELECT coalesce(max(last_added), 0) FROM traces) + key + 1,
      (SELECT count(*) FROM spans WHERE trace_id = value)
    FROM json_each(:trace_ids) WHERE true
    ON CONFLICT (trace_id) DO UPDATE SET last_added = excluded.last_added, span_count = excluded.span_count
    """,
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

    async def add(self, spans: Iterable[Span]) -> None:
        """As `SpanStore.add`."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._add, spans)

    def _add(self, spans: Iterable[Span]) -> None:
        by_trace: dict[str, list[_Row]] = {}
        for span in spans:
            by_trace.setdefault(span.trace_id, []).append(_row(span))
        rows = [row for trace in by_trace.values() for row in trace[:KEEP_SPANS_OF_A_TRACE]]
        values = {
            "spans": json.dumps(rows),
            "trace_ids": json.dumps(list(by_trace)),
            "keep": self._keep,
            "keep_spans": KEEP_SPANS_OF_A_TRACE,
        }
        with _reporting("write traces"), self._connection:
            for statement in _ADD:
                self._connection.execute(statement, values)


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
        rows = self._connection.execute("SELECT * FROM spans WHERE trace_id = ?", (trace_id,)).fetchall()
        # Pruned between two queries: the trace is gone.
        return Trace(trace_id, by_start(_span(row) for row in rows)) if rows else None


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


def _row(span: Span) -> _Row:
    return (
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.name,
        span.kind.value,
        span.service,
        span.started_at_ns,
        span.duration_ns,
        span.status.value,
        json.dumps(dict(span.attributes)),
    )


def _span(row: tuple[Any, ...]) -> Span:  # Any: SQLite's rows are untyped; the schema above types them
    *plain, kind, service, started_at_ns, duration_ns, status, attributes = row
    trace_id, span_id, parent_span_id, name = plain
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent_span_id,
        name=name,
        kind=SpanKind(kind),
        service=service,
        started_at_ns=started_at_ns,
        duration_ns=duration_ns,
        status=SpanStatus(status),
        attributes={
            key: tuple(value) if isinstance(value, list) else value for key, value in json.loads(attributes).items()
        },
    )
