"""What the turn log in SQLite keeps beyond the contract of all logs: restarts, cut-off calls, a store that fails."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from contextlib import aclosing, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.conversation.sqlite_conversations import SqliteConversations
from lmos_grpc.domain.conversation import ConversationState, Durability, OpenQuestion, TurnKey
from lmos_grpc.domain.event import AgentEvent, Clarification, Failure, MessageDone, Outcome, TurnDone
from lmos_grpc.domain.failure import Reason
from lmos_grpc.errors import (
    ConversationNotFoundError,
    EnvironmentFaultError,
    StoreUnavailableError,
    TurnNotFoundError,
)
from lmos_grpc.wire.framed_event import frame_of
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
    open_keyed_log,
    run_turn,
    says,
    word,
)

if TYPE_CHECKING:
    from lmos_grpc.conversation.known_conversations import KnownConversation
    from tests.fakes.turn_logs import KeyedLog

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "conversations.db"


def count(file: Path, table: str) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 # a literal of the test


async def test_everything_is_there_after_a_restart(file: Path) -> None:
    async with open_keyed_log(file) as log:
        await run_turn(log)
        before = await log.get_conversation("de", "c"), await log.list_turns("de", "c", 9), await follow(log)
    async with open_keyed_log(file) as log:
        assert before == (await log.get_conversation("de", "c"), await log.list_turns("de", "c", 9), await follow(log))
        assert not (await log.begin(KEY, asks())).is_new
        assert numbers(await follow(log, after=1)) == [2, 3]


async def test_a_turn_that_a_restart_cut_off_ends_with_an_error(file: Path) -> None:
    async with open_keyed_log(file) as log:
        await log.begin(KEY, asks())
        await log.append(KEY, accepted(), word(2, "half "), word(3, "an answer"))
    async with open_keyed_log(file) as log:
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
    async with open_keyed_log(file) as log:
        await log.begin(KEY, asks())
        said = AgentEvent(2, "t", MessageDone(says("I ask")), BILLING)
        asked = AgentEvent(3, "t", question, BILLING)
        await log.append(KEY, accepted(), said, asked, done(4, Outcome.INPUT_REQUIRED))
    async with open_keyed_log(file) as log:
        assert numbers(await follow(log)) == [1, 2, 3, 4]
        (turn,) = (await log.list_turns("de", "c", 9)).turns
        assert (turn.outcome, turn.responses) == (Outcome.INPUT_REQUIRED, (says("I ask"),))
        open_question = OpenQuestion(question, "billing", "invoice")
        assert await log.state("de", "c") == ConversationState("billing", "invoice", open_question, 1)


async def test_a_turn_that_a_restart_cut_off_before_its_first_event_can_be_sent_again(file: Path) -> None:
    async with open_keyed_log(file) as log:
        await log.begin(KEY, asks())
    async with open_keyed_log(file) as log:
        with pytest.raises(TurnNotFoundError):
            await follow(log)
        assert (await log.begin(KEY, asks())).is_new


async def test_events_are_kept_whether_or_not_anybody_waits_for_it(file: Path) -> None:
    async with open_keyed_log(file) as log:
        await log.begin(KEY, asks())
        cut = asyncio.create_task(log.append(KEY, accepted(), word(2)))
        await asyncio.sleep(0)  # it is under way
        assert cut.cancel()
        await asyncio.wait((cut,))
        await log.append(KEY, done(3, Outcome.CANCELLED))
        await log.finish(KEY, Outcome.CANCELLED, (), ConversationState())
        assert numbers(await follow(log)) == [1, 2, 3]


async def test_what_was_shown_is_on_the_disk_where_the_turn_wants_it_so(file: Path) -> None:
    async with open_keyed_log(file) as log:
        await log.begin(KEY, asks())
        async with asyncio.timeout(LIMIT), aclosing(log.follow(KEY, 0)) as events:
            for event in (accepted(), word(2), done(3)):
                log.turns[KEY].add(frame_of(event), last=event == done(3))
                assert await anext(events) == event
                assert last_on_disk(file) == event.sequence


async def test_what_was_shown_is_on_the_disk_soon_where_nobody_waits_for_it(file: Path) -> None:
    async with open_keyed_log(file, Durability.BEHIND) as log:
        await log.begin(KEY, asks())
        await log.append(KEY, accepted(), word(2))
        assert numbers_shown(log) == 2
        assert last_on_disk(file) == 0
        async with asyncio.timeout(LIMIT):
            await log.turns[KEY].written(2)
        assert last_on_disk(file) == 2
        assert count(file, "chunk") == 1


async def test_a_short_turn_is_one_transaction(file: Path) -> None:
    async with open_keyed_log(file, Durability.BEHIND) as log:
        commits = commits_of(log)
        await run_turn(log)
        assert not commits
        assert len((await log.list_turns("de", "c", 9)).turns) == 1
        assert commits == ["COMMIT"]


async def test_many_bytes_of_one_turn_do_not_wait_in_memory(file: Path) -> None:
    async with open_keyed_log(file, Durability.BEHIND) as log:
        await log.begin(KEY, asks())
        turn = log.turns[KEY]
        await log.append(KEY, accepted())
        async with asyncio.timeout(LIMIT):
            for sequence in range(2, 102):
                await log.append(KEY, word(sequence, "x" * 10_000))
                await asyncio.sleep(0)  # as between two tokens
            await turn.written(75)
        assert len(turn.events) < 100
        await log.append(KEY, done(102))
        assert numbers(await follow(log)) == list(range(1, 103))


async def test_a_turn_that_the_disk_has_no_room_for_goes_on_where_nobody_waits_for_the_log(file: Path) -> None:
    async with open_keyed_log(file, Durability.BEHIND) as log:
        await fill_the_disk(log)
        await log.begin(KEY, asks("x" * 100_000))
        await log.append(KEY, accepted(), word(2))
        with pytest.raises(StoreUnavailableError):
            await log.turns[KEY].written(2)
        await log.append(KEY, done(3))
        with pytest.raises(StoreUnavailableError):
            await log.finish(KEY, Outcome.COMPLETED, (says("x"),), ConversationState("billing"))
        assert (await log.state("de", "c")).last_agent == "billing"
        await make_room(log)
        assert (await log.begin(KEY, asks())).is_new


async def test_the_memory_of_a_conversation_is_that_of_the_file(file: Path) -> None:
    keys = [replace(KEY, turn_id=str(place)) for place in range(450)]
    async with open_keyed_log(file, Durability.BEHIND) as log:
        for key in keys:
            await run_turn(log, key, text=f"ask {key.turn_id}", answer=f"say {key.turn_id}")
        remembered = await log.state("de", "c"), await log.history("de", "c", 7), await log.history("de", "c", 9_000)
        assert not (await log.begin(keys[0], asks("ask 0"))).is_new
    async with open_keyed_log(file, Durability.BEHIND) as log:
        read = await log.state("de", "c"), await log.history("de", "c", 7), await log.history("de", "c", 9_000)
        assert read == remembered
        assert len(read[2]) == 900
        for key in (keys[0], keys[-1]):
            assert not (await log.begin(key, asks(f"ask {key.turn_id}"))).is_new


async def test_long_messages_are_not_kept_in_memory(file: Path) -> None:
    async with open_keyed_log(file, Durability.BEHIND) as log:
        await run_turn(log, answer="x" * 5_000)
        assert [len(each.text) for each in await log.history("de", "c", 9)] == [2, 5_000]


def numbers_shown(log: KeyedLog) -> int:
    return log.turns[KEY].shown


def last_on_disk(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("SELECT coalesce(max(last_sequence), 0) FROM chunk").fetchone()[0])


def commits_of(log: KeyedLog) -> list[str]:
    commits: list[str] = []

    def executed(statement: str) -> None:
        if statement == "COMMIT":
            commits.append(statement)

    log._writer._connection.set_trace_callback(executed)
    return commits


async def test_a_cancelled_begin_leaves_the_id_free(file: Path) -> None:
    async with open_keyed_log(file) as log:
        await run_turn(log, replace(KEY, turn_id="before"))
    async with open_keyed_log(file) as log:
        begin = asyncio.create_task(log.begin(KEY, asks("cut off")))
        await asyncio.sleep(0)  # it is under way
        begin.cancel()
        await asyncio.wait((begin,))
        assert begin.cancelled()
        assert (await log.begin(KEY, asks())).is_new


async def test_many_appends_share_few_transactions(file: Path) -> None:
    async with open_keyed_log(file) as log:
        keys = [TurnKey("de", str(place), "t") for place in range(200)]
        await asyncio.gather(*(log.begin(key, asks()) for key in keys))
        commits = commits_of(log)
        await asyncio.gather(*(log.append(key, accepted(key)) for key in keys))
        assert 1 <= len(commits) <= 50


async def test_a_commit_is_on_the_disk(file: Path) -> None:
    async with open_keyed_log(file) as log:
        connection = log._writer._connection
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_only_the_owner_may_read_what_people_said(file: Path) -> None:
    async with open_keyed_log(file) as log:
        await run_turn(log)
        assert {path.stat().st_mode & 0o777 for path in file.parent.iterdir()} == {0o600}


async def fill_the_disk(log: KeyedLog) -> None:
    await log._writer.submit(lambda connection: connection.execute("PRAGMA max_page_count = 1"))


async def make_room(log: KeyedLog) -> None:
    await log._writer.submit(lambda connection: connection.execute("PRAGMA max_page_count = 100000"))


async def test_a_full_disk_is_told_to_all_and_the_log_goes_on_when_there_is_room(file: Path) -> None:
    large = "x" * 100_000
    other = replace(KEY, turn_id="2")
    async with open_keyed_log(file) as log:
        await log.begin(KEY, asks())
        await log.append(KEY, accepted())
        await fill_the_disk(log)
        async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group:
            follower = group.create_task(outcome_of(log))
            await asyncio.sleep(0)  # it follows
            with pytest.raises(StoreUnavailableError, match="full"):
                await log.append(KEY, word(2, large))
        assert isinstance(follower.result(), StoreUnavailableError)
        with pytest.raises(StoreUnavailableError):
            await log.append(KEY, word(3))
        await log.begin(other, asks(large))
        with pytest.raises(StoreUnavailableError):
            await log.append(other, accepted(other))
        await make_room(log)
        assert (await log.begin(other, asks(large))).is_new
        # Nobody runs the turn any more: whoever asks for it is told how it ended.
        assert not (await log.begin(KEY, asks())).is_new
        assert [type(event.body) for event in await follow(log, after=1)] == [Failure, TurnDone]


async def outcome_of(log: KeyedLog) -> Exception | None:
    try:
        await follow(log)
    except StoreUnavailableError as error:
        return error
    return None


async def test_a_turn_that_was_lost_ends_for_whoever_resumes_it(file: Path) -> None:
    async with open_keyed_log(file) as log:
        await log.begin(KEY, asks())
        await log.append(KEY, accepted())
        await fill_the_disk(log)
        with pytest.raises(StoreUnavailableError):
            await log.append(KEY, word(2, "x" * 100_000))
        await make_room(log)
        assert [type(event.body) for event in await follow(log, after=1)] == [Failure, TurnDone]


async def test_a_locked_file_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmos_grpc.conversation.sqlite_file._BUSY_SECONDS", 0.05)
    async with open_keyed_log(file) as log:
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await log.begin(KEY, asks())
            with pytest.raises(StoreUnavailableError, match="locked"):
                await log.append(KEY, accepted())
            other.execute("COMMIT")
        assert (await log.begin(KEY, asks())).is_new


async def test_a_defect_in_one_write_reaches_its_caller_and_nobody_else(file: Path) -> None:
    def broken(_: sqlite3.Connection) -> None:
        raise ZeroDivisionError

    keys = [TurnKey("de", str(place), "t") for place in range(50)]
    async with open_keyed_log(file) as log:
        for key in keys:
            await log.begin(key, asks())
        calls = [call for key in keys for call in (log.append(key, done(1)), log._writer.submit(broken))]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(each, ZeroDivisionError) for each in results[1::2])
        assert all(each is None for each in results[::2])
    assert count(file, "chunk") == 50


async def test_a_closed_log_says_so(file: Path) -> None:
    async with open_keyed_log(file) as log:
        pass
    with pytest.raises(StoreUnavailableError, match="closed"):
        await log.begin(KEY, asks())


async def test_what_was_submitted_before_the_end_is_written(file: Path) -> None:
    async with open_keyed_log(file) as log:
        await log.begin(KEY, asks())
        append = asyncio.create_task(log.append(KEY, done(1)))
        await asyncio.sleep(0)  # it is under way
    await append
    assert count(file, "chunk") == 1


async def test_one_process_owns_the_file(file: Path) -> None:
    async with open_keyed_log(file):
        other = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _OPEN, file, stderr=asyncio.subprocess.PIPE, cwd=ROOT, env=ENVIRONMENT
        )
        _, complaint = await asyncio.wait_for(other.communicate(), 30)
    assert b"in use by another process" in complaint
    async with open_keyed_log(file):
        pass


_OPEN = """
import asyncio, sys
from pathlib import Path
from lmos_grpc.conversation import open_turn_log
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
        async with open_keyed_log(no_database):
            pass


async def test_a_file_of_a_later_version_is_refused(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(EnvironmentFaultError, match="version 99"):
        async with open_keyed_log(file):
            pass


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFaultError, match="cannot write"):
        async with open_keyed_log(tmp_path / "nowhere" / "conversations.db"):
            pass


async def test_old_conversations_are_forgotten_when_the_log_is_opened(file: Path) -> None:
    now = HandTime()
    async with open_keyed_log(file, now=now) as log:
        for place in range(120):
            await run_turn(log, TurnKey("de", f"old{place}", "t"))
        now.advance(timedelta(days=20))
        await run_turn(log, TurnKey("de", "new", "t"))
    now.advance(timedelta(days=11))
    async with open_keyed_log(file, now=now) as log:
        with pytest.raises(ConversationNotFoundError):
            await log.get_conversation("de", "old7")
        assert numbers(await follow(log, TurnKey("de", "new", "t"))) == [1, 2, 3]
    assert [count(file, table) for table in ("conversation", "turn", "chunk")] == [1, 1, 2]


async def test_old_conversations_are_forgotten_while_the_log_runs_except_those_with_a_turn_at_work(file: Path) -> None:
    now = HandTime()
    async with open_keyed_log(file, keep_for=timedelta(days=1), now=now) as log:
        await log.begin(KEY, asks())
        await log.append(KEY, accepted())
        for place in range(120):
            await run_turn(log, TurnKey("de", f"old{place}", "t"))
        now.advance(timedelta(days=2))
        for place in range(4):  # each begin takes some away, so that none waits for all of them
            await run_turn(log, TurnKey("de", f"new{place}", "t"))
        await log.append(KEY, done(2))
        assert count(file, "conversation") == 5
        assert numbers(await follow(log)) == [1, 2]


async def test_upkeep_ends_turns_that_nobody_runs_and_no_others(file: Path) -> None:
    now = HandTime()
    other = replace(KEY, turn_id="2")
    async with open_keyed_log(file, now=now) as log:
        await log.begin(KEY, asks())
        await log.append(KEY, accepted())
        await log.begin(other, asks())
        await log.append(other, accepted(other))
        del log._running[other]  # as if whoever ran it had been lost
        now.advance(timedelta(hours=2))
        await asyncio.gather(log.begin(replace(KEY, turn_id="3"), asks()), log.begin(replace(KEY, turn_id="4"), asks()))
        await log._writer.submit(lambda _: None)  # comes after the upkeep
        turns = (await log.list_turns("de", "c", 9)).turns
        assert [turn.outcome for turn in turns] == [None, Outcome.FAILED]
        await log.append(KEY, word(2))


async def test_a_conversation_that_is_not_in_the_file_is_not_asked_for(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_keyed_log(file, Durability.BEHIND) as log:
        await run_turn(log)
    asked: list[str] = []
    known = SqliteConversations.known

    async def counting(self: SqliteConversations, tenant: str, conversation_id: str) -> KnownConversation:
        asked.append(conversation_id)
        return await known(self, tenant, conversation_id)

    monkeypatch.setattr(SqliteConversations, "known", counting)
    async with open_keyed_log(file, Durability.BEHIND) as log:
        for number, conversation in enumerate(("c", "new", "new", "c")):
            await log.state("de", conversation)
            await run_turn(log, TurnKey("de", conversation, str(number)))
    assert asked == ["c"]


async def test_where_conversations_are_too_many_to_be_told_apart_the_file_is_asked(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmos_grpc.conversation.known_conversations.MOST_PLACES", 2)
    monkeypatch.setattr("lmos_grpc.conversation.sqlite_turn_log.MOST_PLACES", 2)
    for _ in range(2):
        async with open_keyed_log(file, Durability.BEHIND) as log:
            for place in range(5):
                key = TurnKey("de", str(place), "t")
                if (await log.begin(key, asks())).is_new:
                    await log.append(key, done(1))
                    await log.finish(key, Outcome.COMPLETED, (), ConversationState(f"agent {place}"))
                assert (await log.state("de", str(place))).last_agent == f"agent {place}"
    assert count(file, "turn") == 5


async def test_idle_conversations_leave_the_memory_and_come_back(file: Path) -> None:
    async with open_keyed_log(file, Durability.BEHIND) as log:
        log._known._most_idle = 3
        for place in range(10):
            await run_turn(log, TurnKey("de", str(place), "t"), answer=f"say {place}")
            await log.turns[TurnKey("de", str(place), "t")].written(3)
        assert len(log._known._known) <= 4
        assert [message.text for message in await log.history("de", "0", 9)] == ["hi", "say 0"]
        assert not (await log.begin(TurnKey("de", "0", "t"), asks())).is_new
