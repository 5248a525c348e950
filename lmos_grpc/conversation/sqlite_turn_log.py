"""A turn log in an SQLite file: for one process, over restarts and crashes of it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import timedelta
from functools import partial
from sys import maxsize
from typing import TYPE_CHECKING, Any

from lmos_grpc.conversation import sqlite_rows as rows
from lmos_grpc.conversation import sqlite_writes as writes
from lmos_grpc.conversation.clock import utc_now
from lmos_grpc.conversation.followers import RunningTurns
from lmos_grpc.conversation.group_commit import open_group_commit, store_unavailable
from lmos_grpc.conversation.refusal import require_same_request, turn_not_found
from lmos_grpc.conversation.sqlite_conversations import SqliteConversations
from lmos_grpc.conversation.sqlite_file import open_for_writing, sole_owner
from lmos_grpc.conversation.sqlite_readers import open_readers
from lmos_grpc.conversation.sqlite_upkeep import end_broken_turn, end_broken_turns, forget_old_conversations
from lmos_grpc.conversation.turn_log import Begun
from lmos_grpc.conversation.wire import fingerprint_of, fingerprint_of_message
from lmos_grpc.errors import LmosError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from lmos_grpc.conversation.followers import RunningTurn
    from lmos_grpc.conversation.group_commit import GroupCommit
    from lmos_grpc.conversation.sqlite_readers import SqliteReaders
    from lmos_grpc.conversation.sqlite_rows import TurnRow
    from lmos_grpc.domain.conversation import ConversationState, TurnKey, TurnRecord
    from lmos_grpc.domain.event import AgentEvent, Outcome
    from lmos_grpc.domain.turn import Message, TurnRequest

KEEP_CONVERSATIONS_FOR = timedelta(days=30)
_UPKEEP_EVERY = timedelta(hours=1)
_EVENTS_AT_ONCE = 256
_LOG = logging.getLogger(__name__)


class SqliteTurnLog(SqliteConversations):
    """A `TurnLog` in an SQLite file; made by `open_turn_log`."""

    def __init__(
        self, writer: GroupCommit, readers: SqliteReaders, keep_for: timedelta, now: Callable[[], datetime]
    ) -> None:
        super().__init__(readers)
        self._writer = writer
        self._keep_for = keep_for
        self._now = now
        self._running = RunningTurns()
        self._next_upkeep = now() + _UPKEEP_EVERY

    async def begin(self, key: TurnKey, request: TurnRequest) -> Begun:
        """As `TurnLog.begin`."""
        self._keep_up()
        fingerprint = fingerprint_of(request)
        running = self._running.find(key)
        known = running.fingerprint if running else await self._begin(key, fingerprint, request)
        if known is None:
            return Begun(key, is_new=True)
        require_same_request(key, known, fingerprint)
        return Begun(key, is_new=False)

    async def append(self, key: TurnKey, *events: AgentEvent) -> None:
        """As `TurnLog.append`."""
        running = self._running.require(key)
        if not running.row:
            raise turn_not_found(key)
        cut_after = running.last if running.torn else None
        write = partial(writes.append_events, row=running.row, events=rows.event_rows(events), cut_after=cut_after)
        try:
            with running.writing(events):
                await self._writer.submit(write)
        except StoreUnavailableError as error:
            self._running.lose(key, error)
            raise

    async def finish(
        self, key: TurnKey, outcome: Outcome, responses: tuple[Message, ...], state: ConversationState
    ) -> None:
        """As `TurnLog.finish`. Where the caller is cancelled, the end is written all the same."""
        running = self._running.find(key)
        last = running.last if running else maxsize
        write = partial(writes.finish_turn, key=key, last=last, end=(outcome, responses, state), now=self._now())
        written = self._writer.submit(write)
        written.add_done_callback(partial(self._close, key))
        await asyncio.shield(written)

    async def abandon(self, key: TurnKey) -> None:
        """As `TurnLog.abandon`. Where the caller is cancelled, the turn is forgotten all the same."""
        running = self._running.find(key)
        if running is None or running.last:
            return
        self._running.close(key, turn_not_found(key))
        await asyncio.shield(self._forget(running))

    async def follow(self, key: TurnKey, after_sequence: int) -> AsyncGenerator[AgentEvent, None]:
        """As `TurnLog.follow`."""
        position = after_sequence
        while (turn := await self._ended_turn(key)) is None:
            running = self._running.find(key)
            if running is None:
                continue
            async with aclosing(running.follow(position, partial(self._read_running, running))) as events:
                async for event in events:
                    position = event.sequence
                    yield event
            if running.over:
                return
        while page := await self._read_events(turn.row, position, maxsize):
            for event in page:
                position = event.sequence
                yield event

    async def state_before(self, key: TurnKey) -> ConversationState | None:
        """As `TurnLog.state_before`."""
        if self._running.find(key) is not None:
            return None
        return await self._readers.run(partial(rows.state_before, key=key))

    async def record_turn(self, record: TurnRecord, channel: str) -> None:
        """As `TurnLog.record_turn`."""
        fingerprint = fingerprint_of_message(record.request)
        write = partial(writes.record_turn, record=record, channel=channel, fingerprint=fingerprint, now=self._now())
        require_same_request(record.key, await self._writer.submit(write), fingerprint)

    async def _begin(self, key: TurnKey, fingerprint: bytes, request: TurnRequest) -> bytes | None:
        """None where the turn is new, else the fingerprint of the one in the file."""
        running = self._running.open(key, fingerprint)
        write = partial(writes.begin_turn, key=key, running=running, request=request, now=self._now())
        try:
            known = await self._writer.submit(write)
        except asyncio.CancelledError:
            # It may be in the file already, and nobody would ever run it.
            self._running.close(key, turn_not_found(key))
            self._forget(running)
            raise
        except LmosError as error:
            self._running.close(key, error)
            raise
        if known is not None:
            self._running.close(key)
        return known

    def _forget(self, running: RunningTurn) -> asyncio.Future[None]:
        # The row is looked at when this write has its turn: the one that sets it is before it in the queue.
        forgotten = self._writer.submit(lambda connection: rows.forget_turn(connection, running.row))
        forgotten.add_done_callback(_report)
        return forgotten

    def _close(self, key: TurnKey, written: asyncio.Future[None]) -> None:
        error = written.exception()
        if isinstance(error, StoreUnavailableError):
            self._running.lose(key, error)
        else:
            self._running.close(key)

    async def _ended_turn(self, key: TurnKey) -> TurnRow | None:
        """The turn as it is in the file, or None where it runs or has to be looked at again."""
        if self._running.find(key) is not None:
            return None
        turn = await self._readers.run(partial(rows.find_turn, key=key))
        if turn is None:
            raise turn_not_found(key)
        if not turn.running:
            return turn
        if self._running.find(key) is None:
            await self._writer.submit(partial(end_broken_turn, turn=turn, now=self._now()))
        return None

    async def _read_running(self, running: RunningTurn, after: int, up_to: int) -> Sequence[AgentEvent]:
        return await self._read_events(running.row, after, up_to)

    async def _read_events(self, row: int, after: int, up_to: int) -> Sequence[AgentEvent]:
        return await self._readers.run(
            lambda connection: rows.read_events(connection, row, after, up_to, _EVENTS_AT_ONCE)
        )

    def _keep_up(self) -> None:
        now = self._now()
        if now < self._next_upkeep:
            return
        self._next_upkeep = now + _UPKEEP_EVERY
        self._running.forget_lost()
        running = self._running.all()

        def keep_up(connection: sqlite3.Connection) -> bool:
            end_broken_turns(connection, running, now)
            return forget_old_conversations(connection, now - self._keep_for)

        self._writer.submit(keep_up).add_done_callback(self._kept_up)

    def _kept_up(self, done: asyncio.Future[bool]) -> None:
        if _report(done) is None and done.result():
            # There is more of it than goes into one transaction.
            self._next_upkeep = self._now()


def _report(done: asyncio.Future[Any]) -> BaseException | None:  # Any: of every write, only its error is looked at
    error = done.exception()
    if error is not None:
        _LOG.warning("the conversation log could not be kept in order: %s", error)
    return error


@asynccontextmanager
async def open_turn_log(
    path: Path, *, keep_for: timedelta = KEEP_CONVERSATIONS_FOR, now: Callable[[], datetime] = utc_now
) -> AsyncIterator[SqliteTurnLog]:
    """Opens the log in a file, made where there is none; conversations are kept for so long after their last turn.

    Turns that ran when the process before this one ended get their end: an error, and a failed `turn_done`.

    Raises:
        StoreUnavailableError: the file cannot be opened or is no database.
        EnvironmentFaultError: another process has it, it cannot be written, or a later version made it.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(sole_owner(path))
        connection = await asyncio.to_thread(_prepared, path, now(), keep_for)
        writer = await stack.enter_async_context(open_group_commit(connection))
        yield SqliteTurnLog(writer, stack.enter_context(open_readers(path)), keep_for, now)


def _prepared(path: Path, now: datetime, keep_for: timedelta) -> sqlite3.Connection:
    connection = open_for_writing(path)
    try:
        connection.execute("BEGIN IMMEDIATE")
        end_broken_turns(connection, (), now)
        while forget_old_conversations(connection, now - keep_for):
            pass
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        connection.close()
        raise store_unavailable(error) from error
    return connection
