from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Protocol

import pytest

from lmos_grpc.cli.command.trace import find_trace
from lmos_grpc.errors import EnvironmentFaultError, StoreUnavailableError
from lmos_grpc.traces import Span, SpanKind, SpanStatus, open_span_reader, open_span_store
from lmos_grpc.traces.sqlite_span_store import KEEP_SPANS_OF_A_TRACE
from tests.fakes.trace_pieces import pieces

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from lmos_grpc.traces import SpanReader, SpanStore, TracePiece


class OpenStore(Protocol):
    def __call__(self, *, keep: int = 1_000) -> AbstractAsyncContextManager[tuple[SpanStore, SpanReader]]:
        """Opens the store of a test, for writing and reading."""


@pytest.fixture(params=["sqlite"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    assert request.param == "sqlite"

    @asynccontextmanager
    async def sqlite(*, keep: int = 1_000) -> AsyncIterator[tuple[SpanStore, SpanReader]]:
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(open_span_store(tmp_path / "traces.db", keep=keep))
            yield store, stack.enter_context(open_span_reader(tmp_path / "traces.db"))

    return sqlite


def span(trace: int, number: int = 1, parent: int = 0, *, start: int = 0, service: str = "billing") -> Span:
    return Span(
        trace_id=f"{trace:032x}",
        span_id=f"{number:016x}",
        parent_span_id=f"{parent:016x}" if parent else "",
        name=f"span {number}",
        kind=SpanKind.SERVER,
        service=service,
        started_at_ns=start,
        duration_ns=10,
        status=SpanStatus.ERROR,
        attributes={"text": "ä", "number": 1, "share": 0.5, "flag": True, "list": ("a", 1)},
    )


async def test_a_span_comes_back_as_it_was(open_store: OpenStore) -> None:
    async with open_store() as (store, reader):
        await store.add(pieces([span(7)]))
        trace = reader.get_trace(f"{7:032x}")
        assert trace
        assert trace.spans == (span(7),)


async def test_spans_of_a_trace_come_together_over_several_additions_in_the_order_they_started(
    open_store: OpenStore,
) -> None:
    async with open_store() as (store, reader):
        await store.add(pieces([span(7, 3, 1, start=30), span(8)]))
        await store.add(pieces([span(7, 1, start=10), span(7, 2, 1, start=20)]))
        trace = reader.get_trace(f"{7:032x}")
        assert trace
        assert [each.started_at_ns for each in trace.spans] == [10, 20, 30]


async def test_a_span_that_is_sent_twice_is_kept_once(open_store: OpenStore) -> None:
    async with open_store() as (store, reader):
        await store.add(pieces([span(7), span(7)]))
        await store.add(pieces([span(7)]))
        (summary,) = reader.list_traces(10)
        assert summary.span_count == 1


async def test_a_list_says_what_each_trace_was_newest_first(open_store: OpenStore) -> None:
    async with open_store() as (store, reader):
        await store.add(pieces([span(1, 1, start=100), span(1, 2, 1, start=105, service="envoy")]))
        await store.add(pieces([span(2, start=200)]))
        newest, oldest = reader.list_traces(10)
        assert (newest.trace_id, oldest.trace_id) == (f"{2:032x}", f"{1:032x}")
        assert (oldest.root_name, oldest.services, oldest.span_count) == ("span 1", ("billing", "envoy"), 2)
        assert (oldest.started_at_ns, oldest.duration_ns, oldest.error) == (100, 15, True)


async def test_a_list_is_no_longer_than_asked(open_store: OpenStore) -> None:
    async with open_store() as (store, reader):
        await store.add(pieces([span(number, start=number) for number in range(1, 6)]))
        assert [summary.started_at_ns for summary in reader.list_traces(2)] == [5, 4]
        assert reader.list_traces(0) == reader.list_traces(-1) == ()


async def test_a_trace_is_found_by_the_start_of_its_id_if_that_is_unique(open_store: OpenStore) -> None:
    ids = ("aa" + "0" * 30, "ab" + "1" * 30)
    async with open_store() as (store, reader):
        await store.add(pieces([Span(each, "1" * 16, "", "s", SpanKind.SERVER, "x", 0, 0) for each in ids]))
        found = reader.get_trace("AB1")
        assert found
        assert found.trace_id == ids[1]
        assert reader.get_trace("a") is None
        assert reader.matching_ids("a") == ids
        assert reader.matching_ids("a", limit=1) == ids[:1]


@pytest.mark.parametrize("trace_id", ["", "b", "%", "' OR 1=1", "a" * 33, "xyz"])
async def test_an_id_that_leads_nowhere_finds_nothing(open_store: OpenStore, trace_id: str) -> None:
    async with open_store() as (store, reader):
        await store.add(pieces([span(0xA << 124)]))
        assert reader.get_trace(trace_id) is None
        assert reader.matching_ids(trace_id) == ()


async def test_the_traces_added_to_longest_ago_make_room(open_store: OpenStore) -> None:
    async with open_store(keep=3) as (store, reader):
        for trace in (1, 2, 3):
            await store.add(pieces([span(trace, start=trace)]))
        await store.add(pieces([span(1, 2, 1, start=10)]))
        await store.add(pieces([span(4, start=4)]))
        assert {summary.trace_id[-1] for summary in reader.list_traces(10)} == {"1", "3", "4"}
        assert reader.get_trace(f"{2:032x}") is None


async def test_a_trace_that_never_ends_does_not_grow_without_bound(open_store: OpenStore) -> None:
    async with open_store() as (store, reader):
        for first in range(1, KEEP_SPANS_OF_A_TRACE + 1_500, 1_000):
            await store.add(pieces(span(1, number) for number in range(first, first + 1_000)))
        assert [summary.span_count for summary in reader.list_traces(1)] == [KEEP_SPANS_OF_A_TRACE]


async def test_reading_goes_on_while_spans_are_written(open_store: OpenStore) -> None:
    async with open_store() as (store, reader):
        await store.add(pieces([span(1)]))
        async with asyncio.TaskGroup() as group:
            for trace in range(2, 60):
                group.create_task(store.add(pieces(span(trace, number, start=trace) for number in range(1, 20))))
            seen: set[int] = set()
            async with asyncio.timeout(20):
                while len(reader.list_traces(100)) < 59:
                    seen |= {summary.span_count for summary in reader.list_traces(100)}
                    await asyncio.sleep(0)  # a loop as busy as can be
        assert seen <= {1, 19}, "half an addition was seen"


async def test_an_iterable_that_fails_keeps_nothing_of_it(open_store: OpenStore) -> None:
    def broken() -> Iterator[TracePiece]:
        yield from pieces([span(1)])
        raise LookupError

    async with open_store() as (store, reader):
        with pytest.raises(LookupError):
            await store.add(broken())
        await store.add(pieces([span(2)]))
        assert [summary.trace_id for summary in reader.list_traces(10)] == [f"{2:032x}"]


async def test_what_was_kept_is_there_after_a_restart_and_without_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    async with open_span_store(path) as store:
        await store.add(pieces([span(1)]))
    with open_span_reader(path) as reader:
        assert reader.get_trace(f"{1:032x}")
    async with open_span_store(path) as store:
        await store.add(pieces([span(2)]))
        with open_span_reader(path) as reader:
            assert len(reader.list_traces(10)) == 2


async def test_another_process_reads_while_this_one_writes(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    read = (
        "import sys, pathlib; from lmos_grpc.traces import open_span_reader\n"
        "with open_span_reader(pathlib.Path(sys.argv[1])) as reader: print(len(reader.list_traces(10)))"
    )
    async with open_span_store(path) as store:
        await store.add(pieces([span(1), span(2)]))
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", read, str(path)], capture_output=True, timeout=30, check=True
        )
        assert done.stdout.strip() == b"2"


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    asyncio.run(_fill(tmp_path / "traces.db"))
    with open_span_reader(tmp_path / "traces.db") as reader, pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._connection.execute("DELETE FROM spans")


async def _fill(path: Path) -> None:
    async with open_span_store(path) as store:
        await store.add(pieces([span(1)]))


def test_a_reader_of_a_mesh_that_never_ran_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFaultError, match="lmos up"), open_span_reader(tmp_path / "none.db"):
        pass
    assert not (tmp_path / "none.db").exists()


async def test_a_file_that_is_no_database_is_told_when_opened_and_when_read(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    path.write_bytes(b"this is no database, and it is long enough to be taken for one " * 100)
    with pytest.raises(StoreUnavailableError, match=r"traces\.db"):
        async with open_span_store(path):
            pass
    with open_span_reader(path) as reader, pytest.raises(StoreUnavailableError):
        reader.list_traces(10)


async def test_traces_of_another_version_are_thrown_away(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA user_version = 99; CREATE TABLE spans (other); INSERT INTO spans VALUES (1);")
    connection.close()
    async with open_span_store(path) as store:
        await store.add(pieces([span(1)]))
        with open_span_reader(path) as reader:
            assert len(reader.list_traces(10)) == 1


async def test_the_last_trace_is_the_one_that_began_last_whichever_was_written_last(open_store: OpenStore) -> None:
    async with open_store() as (store, reader):
        await store.add(pieces([span(1, start=2)]))
        await store.add(pieces([span(2, start=1)]))
        assert find_trace(reader, "last").trace_id == f"{1:032x}"
