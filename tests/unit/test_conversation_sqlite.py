"""What the turn log in SQLite keeps beyond the contract of all logs: restarts, cut-off calls, a store that fails."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.conversation import Begun, open_turn_log
from lmos_grpc.domain.conversation import ConversationState, OpenQuestion, TurnKey
from lmos_grpc.domain.event import AgentEvent, Clarification, Failure, MessageDone, Outcome, TurnDone
from lmos_grpc.domain.failure import Reason
from lmos_grpc.errors import (
    ConversationNotFoundError,
    EnvironmentFaultError,
    StoreUnavailableError,
    TurnNotFoundError,
)
from tests.fakes.turn_logs import (
    BILLING,
    KEY,
    LIMIT,
    HandTime,
    accepted,
    asks,
    done,
    follow,
    numbers,
    run_turn,
    says,
    word,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.conversation import SqliteTurnLog

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "conversations.db"


def count(file: Path, table: str) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 # a literal of the test


def wait_until(true: Callable[[], bool]) -> None:
    """Holds up the event loop, so that what other threads did is not yet known to it."""
    deadline = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < deadline


async def test_everything_is_there_after_a_restart(file: Path) -> None:
    async with open_turn_log(file) as log:
        await run_turn(log)
        before = await log.get_conversation("de", "c"), await log.list_turns("de", "c", 9), await follow(log)
    async with open_turn_log(file) as log:
        assert before == (await log.get_conversation("de", "c"), await log.list_turns("de", "c", 9), await follow(log))
        assert not (await log.begin(KEY, asks())).is_new
        assert numbers(await follow(log, after=1)) == [2, 3]


async def test_a_turn_that_a_restart_cut_off_ends_with_an_error(file: Path) -> None:
    async with open_turn_log(file) as log:
        await log.begin(KEY, asks())
        await log.append(KEY, accepted(), word(2, "half "), word(3, "an answer"))
    async with open_turn_log(file) as log:
        *_, error, last = await follow(log, after=1)
        assert isinstance(error.body, Failure)
        assert (error.sequence, error.body.detail.reason) == (4, Reason.AGENT_STREAM_BROKEN)
        assert last == done(5, Outcome.FAILED)
        (turn,) = (await log.list_turns("de", "c", 9)).turns
        assert (turn.outcome, turn.last_sequence) == (Outcome.FAILED, 5)
        assert [message.text for message in await log.history("de", "c", 9)] == ["hi", "half an answer"]
        assert await log.state("de", "c") == ConversationState("billing", "invoice", None, 1)


async def test_a_turn_whose_last_event_was_written_ends_as_that_says(file: Path) -> None:
    question = Clarification("q", "Which one?")
    async with open_turn_log(file) as log:
        await log.begin(KEY, asks())
        said = AgentEvent(2, "t", MessageDone(says("I ask")), BILLING)
        asked = AgentEvent(3, "t", question, BILLING)
        await log.append(KEY, accepted(), said, asked, done(4, Outcome.INPUT_REQUIRED))
    async with open_turn_log(file) as log:
        assert numbers(await follow(log)) == [1, 2, 3, 4]
        (turn,) = (await log.list_turns("de", "c", 9)).turns
        assert (turn.outcome, turn.responses) == (Outcome.INPUT_REQUIRED, (says("I ask"),))
        open_question = OpenQuestion(question, "billing", "invoice")
        assert await log.state("de", "c") == ConversationState("billing", "invoice", open_question, 1)


async def test_a_turn_that_a_restart_cut_off_before_its_first_event_can_be_sent_again(file: Path) -> None:
    async with open_turn_log(file) as log:
        await log.begin(KEY, asks())
    async with open_turn_log(file) as log:
        with pytest.raises(TurnNotFoundError):
            await follow(log)
        assert (await log.begin(KEY, asks())).is_new


@pytest.mark.parametrize("written", [False, True])
async def test_a_cancelled_append_leaves_its_numbers_free(file: Path, *, written: bool) -> None:
    async with open_turn_log(file) as log:
        await log.begin(KEY, asks())
        await log.append(KEY, accepted())
        async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group:
            follower = group.create_task(follow(log))
            cut = asyncio.create_task(log.append(KEY, word(2, "cut"), word(3, "cut"), word(4, "cut")))
            await asyncio.sleep(0)  # it is under way
            if written:
                wait_until(lambda: count(file, "event") == 4)
            assert cut.cancel()
            await asyncio.wait((cut,))
            assert cut.cancelled()
            await log.append(KEY, word(2, "kept"))
            await log.append(KEY, done(3, Outcome.CANCELLED))
        await log.finish(KEY, Outcome.CANCELLED, (), ConversationState())
        assert follower.result() == await follow(log) == [accepted(), word(2, "kept"), done(3, Outcome.CANCELLED)]


async def test_what_a_cancelled_append_wrote_goes_with_the_end_of_the_turn(file: Path) -> None:
    async with open_turn_log(file) as log:
        await log.begin(KEY, asks())
        await log.append(KEY, accepted())
        cut = asyncio.create_task(log.append(KEY, word(2, "cut")))
        await asyncio.sleep(0)  # it is under way
        wait_until(lambda: count(file, "event") == 2)
        cut.cancel()
        await asyncio.wait((cut,))
        await log.finish(KEY, Outcome.CANCELLED, (), ConversationState())
        assert await follow(log) == [accepted()]


@pytest.mark.parametrize("written", [False, True])
async def test_a_cancelled_begin_leaves_the_id_free(file: Path, *, written: bool) -> None:
    async with open_turn_log(file) as log:
        begin = asyncio.create_task(log.begin(KEY, asks("cut off")))
        await asyncio.sleep(0)  # it is under way
        if written:
            wait_until(lambda: count(file, "turn") == 1)
        begin.cancel()
        await asyncio.wait((begin,))
        assert begin.cancelled()
        assert (await log.begin(KEY, asks())).is_new
        await log.append(KEY, done(1))
        assert numbers(await follow(log)) == [1]


async def test_a_cancelled_begin_of_a_turn_that_ended_leaves_the_turn(file: Path) -> None:
    async with open_turn_log(file) as log:
        await run_turn(log)
        begin = asyncio.create_task(log.begin(KEY, asks()))
        await asyncio.sleep(0)  # it is under way
        begin.cancel()
        await asyncio.wait((begin,))
        assert not (await log.begin(KEY, asks())).is_new
        assert numbers(await follow(log)) == [1, 2, 3]


async def test_many_appends_share_few_transactions(file: Path) -> None:
    async with open_turn_log(file) as log:
        keys = [TurnKey("de", str(place), "t") for place in range(200)]
        await asyncio.gather(*(log.begin(key, asks()) for key in keys))
        commits = 0

        def committed(statement: str) -> None:
            nonlocal commits
            commits += statement == "COMMIT"

        log._writer._connection.set_trace_callback(committed)
        await asyncio.gather(*(log.append(key, accepted(key)) for key in keys))
        log._writer._connection.set_trace_callback(None)
        assert 1 <= commits <= 50


async def test_a_commit_is_on_the_disk(file: Path) -> None:
    async with open_turn_log(file) as log:
        connection = log._writer._connection
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_only_the_owner_may_read_what_people_said(file: Path) -> None:
    async with open_turn_log(file) as log:
        await run_turn(log)
        assert {path.stat().st_mode & 0o777 for path in file.parent.iterdir()} == {0o600}


async def fill_the_disk(log: SqliteTurnLog) -> None:
    await log._writer.submit(lambda connection: connection.execute("PRAGMA max_page_count = 1"))


async def make_room(log: SqliteTurnLog) -> None:
    await log._writer.submit(lambda connection: connection.execute("PRAGMA max_page_count = 100000"))


async def test_a_full_disk_is_told_to_all_and_the_log_goes_on_when_there_is_room(file: Path) -> None:
    large = "x" * 100_000
    other = replace(KEY, turn_id="2")
    async with open_turn_log(file) as log:
        await log.begin(KEY, asks())
        await log.append(KEY, accepted())
        await fill_the_disk(log)
        async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group:
            follower = group.create_task(outcome_of(log))
            await asyncio.sleep(0)  # it follows
            with pytest.raises(StoreUnavailableError, match="full"):
                await log.append(KEY, word(2, large))
        assert isinstance(follower.result(), StoreUnavailableError)
        for call in (log.append(KEY, word(2)), log.begin(other, asks(large))):
            with pytest.raises(StoreUnavailableError):
                await call
        await make_room(log)
        assert (await log.begin(other, asks(large))).is_new
        # Nobody runs the turn any more: whoever asks for it is told how it ended.
        assert not (await log.begin(KEY, asks())).is_new
        assert [type(event.body) for event in await follow(log, after=1)] == [Failure, TurnDone]


async def outcome_of(log: SqliteTurnLog) -> Exception | None:
    try:
        await follow(log)
    except StoreUnavailableError as error:
        return error
    return None


async def test_a_turn_that_was_lost_ends_for_whoever_resumes_it(file: Path) -> None:
    async with open_turn_log(file) as log:
        await log.begin(KEY, asks())
        await log.append(KEY, accepted())
        await fill_the_disk(log)
        with pytest.raises(StoreUnavailableError):
            await log.append(KEY, word(2, "x" * 100_000))
        await make_room(log)
        assert [type(event.body) for event in await follow(log, after=1)] == [Failure, TurnDone]


async def test_a_locked_file_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmos_grpc.conversation.sqlite_file._BUSY_SECONDS", 0.05)
    async with open_turn_log(file) as log:
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailableError, match="locked"):
                await log.begin(KEY, asks())
            other.execute("COMMIT")
        assert (await log.begin(KEY, asks())).is_new


async def test_a_defect_in_one_write_reaches_its_caller_and_nobody_else(file: Path) -> None:
    def broken(_: sqlite3.Connection) -> None:
        raise ZeroDivisionError

    keys = [TurnKey("de", str(place), "t") for place in range(50)]
    async with open_turn_log(file) as log:
        calls = [call for key in keys for call in (log.begin(key, asks()), log._writer.submit(broken))]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(each, ZeroDivisionError) for each in results[1::2])
        assert all(isinstance(each, Begun) and each.is_new for each in results[::2])
        await asyncio.gather(*(log.append(key, done(1)) for key in keys))
    assert count(file, "event") == 50


async def test_a_closed_log_says_so(file: Path) -> None:
    async with open_turn_log(file) as log:
        pass
    with pytest.raises(StoreUnavailableError, match="closed"):
        await log.begin(KEY, asks())


async def test_what_was_submitted_before_the_end_is_written(file: Path) -> None:
    async with open_turn_log(file) as log:
        await log.begin(KEY, asks())
        append = asyncio.create_task(log.append(KEY, done(1)))
        await asyncio.sleep(0)  # it is under way
    await append
    assert count(file, "event") == 1


async def test_one_process_owns_the_file(file: Path) -> None:
    async with open_turn_log(file):
        other = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _OPEN, file, stderr=asyncio.subprocess.PIPE, cwd=ROOT, env=ENVIRONMENT
        )
        _, complaint = await asyncio.wait_for(other.communicate(), 30)
    assert b"in use by another process" in complaint
    async with open_turn_log(file):
        pass


_OPEN = """
import asyncio, sys
from pathlib import Path
from lmos_grpc.conversation import Begun, open_turn_log
async def main():
    async with open_turn_log(Path(sys.argv[1])): pass
asyncio.run(main())
"""


@pytest.fixture
def no_database(file: Path) -> Path:
    file.write_bytes(b"this is no database, but it is long enough to be taken for one" * 100)
    return file


async def test_a_file_that_is_no_database_is_refused(no_database: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="not a database"):
        async with open_turn_log(no_database):
            pass


async def test_a_file_of_a_later_version_is_refused(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(EnvironmentFaultError, match="version 99"):
        async with open_turn_log(file):
            pass


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFaultError, match="cannot write"):
        async with open_turn_log(tmp_path / "nowhere" / "conversations.db"):
            pass


async def test_old_conversations_are_forgotten_when_the_log_is_opened(file: Path) -> None:
    now = HandTime()
    async with open_turn_log(file, now=now) as log:
        for place in range(120):
            await run_turn(log, TurnKey("de", f"old{place}", "t"))
        now.advance(timedelta(days=20))
        await run_turn(log, TurnKey("de", "new", "t"))
    now.advance(timedelta(days=11))
    async with open_turn_log(file, now=now) as log:
        with pytest.raises(ConversationNotFoundError):
            await log.get_conversation("de", "old7")
        assert numbers(await follow(log, TurnKey("de", "new", "t"))) == [1, 2, 3]
    assert [count(file, table) for table in ("conversation", "turn", "event")] == [1, 1, 3]


async def test_old_conversations_are_forgotten_while_the_log_runs_except_those_with_a_turn_at_work(file: Path) -> None:
    now = HandTime()
    async with open_turn_log(file, keep_for=timedelta(days=1), now=now) as log:
        await log.begin(KEY, asks())
        await log.append(KEY, accepted())
        for place in range(120):
            await run_turn(log, TurnKey("de", f"old{place}", "t"))
        now.advance(timedelta(days=2))
        for place in range(4):  # each begin takes some away, so that none waits for all of them
            await log.begin(TurnKey("de", f"new{place}", "t"), asks())
        await log.append(KEY, done(2))
        assert count(file, "conversation") == 5
        assert numbers(await follow(log)) == [1, 2]


async def test_upkeep_ends_turns_that_nobody_runs_and_no_others(file: Path) -> None:
    now = HandTime()
    other = replace(KEY, turn_id="2")
    async with open_turn_log(file, now=now) as log:
        await log.begin(KEY, asks())
        await log.append(KEY, accepted())
        await log.begin(other, asks())
        await log.append(other, accepted(other))
        log._running.close(other)  # as if whoever ran it had been lost
        now.advance(timedelta(hours=2))
        await asyncio.gather(log.begin(replace(KEY, turn_id="3"), asks()), log.begin(replace(KEY, turn_id="4"), asks()))
        turns = (await log.list_turns("de", "c", 9)).turns
        assert [turn.outcome for turn in turns] == [None, Outcome.FAILED, None, None]
        await log.append(KEY, word(2))
