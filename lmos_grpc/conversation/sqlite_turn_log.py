"""A turn log in an SQLite file: for one process, over restarts and crashes of it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from lmos_grpc.conversation import sqlite_rows as rows
from lmos_grpc.conversation.clock import utc_now
from lmos_grpc.conversation.group_commit import open_group_commit, store_unavailable
from lmos_grpc.conversation.known_conversations import MOST_PLACES, KnownConversations
from lmos_grpc.conversation.refusal import require_same_request, turn_not_found
from lmos_grpc.conversation.running_turn import Beginning, RunningTurn, TurnEnd
from lmos_grpc.conversation.sqlite_conversations import SqliteConversations
from lmos_grpc.conversation.sqlite_file import open_for_writing, sole_owner
from lmos_grpc.conversation.sqlite_readers import open_readers
from lmos_grpc.conversation.sqlite_upkeep import end_broken_turn, end_broken_turns, forget_old_conversations
from lmos_grpc.conversation.sqlite_writes import keep_heard, record_turn
from lmos_grpc.conversation.turn_log import Begun
from lmos_grpc.conversation.turn_writes import TurnWrites
from lmos_grpc.conversation.wire import fingerprint_of, fingerprint_of_message
from lmos_grpc.domain.conversation import Durability, TurnRecord
from lmos_grpc.errors import LmosError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from lmos_grpc.conversation.group_commit import GroupCommit
    from lmos_grpc.conversation.known_conversations import KnownConversation
    from lmos_grpc.conversation.sqlite_readers import SqliteReaders
    from lmos_grpc.conversation.turn_log import TurnPage
    from lmos_grpc.domain.conversation import Conversation, ConversationState, TurnKey
    from lmos_grpc.domain.event import Outcome
    from lmos_grpc.domain.live_session import HeardAnswer
    from lmos_grpc.domain.turn import Message, TurnRequest

KEEP_CONVERSATIONS_FOR = timedelta(days=30)
_UPKEEP_EVERY = timedelta(hours=1)
_LOG = logging.getLogger(__name__)


class SqliteTurnLog:
    """A `TurnLog` in an SQLite file; made by `open_turn_log`."""

    def __init__(
        self,
        writer: GroupCommit,
        readers: SqliteReaders,
        in_file: set[int] | None,
        keep_for: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._stored = SqliteConversations(readers)
        self._keep_for = keep_for
        self._now = now
        self._running: dict[TurnKey, RunningTurn] = {}
        self._known = KnownConversations(self._stored.known, in_file)
        self._writes = TurnWrites(writer, self._settle)
        self._next_upkeep = now() + _UPKEEP_EVERY

    async def begin(self, key: TurnKey, request: TurnRequest, durability: Durability = Durability.BEHIND) -> Begun:
        """As `TurnLog.begin`."""
        self._writer.require_open()
        self._keep_up()
        beginning = Beginning(request, fingerprint_of(request), durability, self._now())
        conversation = await self._known.get(key.tenant, key.conversation_id)
        known = await self._fingerprint(key, conversation)
        if known is not None:
            require_same_request(key, known, beginning.fingerprint)
            return Begun(key, None)
        turn = self._running[key] = RunningTurn(key, beginning, self._writes.attend)
        self._known.begin(key, conversation, beginning.fingerprint)
        return Begun(key, turn)

    async def finish(
        self, turn: RunningTurn, outcome: Outcome, responses: tuple[Message, ...], state: ConversationState
    ) -> None:
        """As `TurnLog.finish`."""
        if turn.end is not None:
            return
        key, began = turn.key, turn.beginning
        turn.end = TurnEnd(outcome, responses, state, self._now())
        if conversation := self._known.find(key):
            record = TurnRecord(key, began.request.message, responses, outcome, began.at, turn.end.at, turn.last)
            conversation.ended(record, state)
        if turn.lost is not None:
            self._drop(turn)
            raise turn.lost
        self._writes.end(turn)
        await turn.closed()
        if turn.lost is not None:
            raise turn.lost

    async def heard(self, key: TurnKey, answer: HeardAnswer) -> None:
        """As `TurnLog.heard`."""
        running = self._running.get(key)
        if running is not None and running.end is None:
            return
        if conversation := self._known.find(key):
            conversation.heard(key.turn_id, answer)
        await self._writes.flush(key.tenant, key.conversation_id)
        await self._writer.submit(partial(keep_heard, key=key, answer=answer))

    def abandon(self, turn: RunningTurn) -> None:
        """As `TurnLog.abandon`."""
        if turn.last or turn.end is not None:
            return
        if conversation := self._known.find(turn.key):
            conversation.turns.pop(turn.key.turn_id, None)
        self._drop(turn)
        turn.close(turn_not_found(turn.key))

    async def follow(self, key: TurnKey, after_sequence: int) -> AsyncGenerator[bytes, None]:
        """As `TurnLog.follow`."""
        while (running := self._running.get(key)) is None:
            if (row := await self._ended_turn(key)) is None:
                continue
            while found := await self._stored.events(row, after_sequence):
                first, events = found
                for event in events:
                    yield event
                after_sequence = first + len(events) - 1
            return
        async with aclosing(running.follow(after_sequence, partial(self._read_running, running))) as shown:
            async for event in shown:
                yield event

    async def state(self, tenant: str, conversation_id: str) -> ConversationState:
        """As `TurnLog.state`."""
        return (await self._known.get(tenant, conversation_id)).state

    async def state_before(self, key: TurnKey) -> ConversationState | None:
        """As `TurnLog.state_before`."""
        conversation = await self._known.get(key.tenant, key.conversation_id)
        return None if await self._fingerprint(key, conversation) else conversation.state

    async def history(self, tenant: str, conversation_id: str, limit: int) -> tuple[Message, ...]:
        """As `TurnLog.history`."""
        known = (await self._known.get(tenant, conversation_id)).history(limit)
        if known is not None:
            return known
        await self._writes.flush(tenant, conversation_id)
        return await self._stored.history(tenant, conversation_id, limit)

    async def get_conversation(self, tenant: str, conversation_id: str) -> Conversation:
        """As `TurnLog.get_conversation`."""
        await self._writes.flush(tenant, conversation_id)
        return await self._stored.get_conversation(tenant, conversation_id)

    async def list_turns(self, tenant: str, conversation_id: str, page_size: int, page_token: str = "") -> TurnPage:
        """As `TurnLog.list_turns`."""
        await self._writes.flush(tenant, conversation_id)
        return await self._stored.list_turns(tenant, conversation_id, page_size, page_token)

    async def record_turn(self, record: TurnRecord, channel: str) -> None:
        """As `TurnLog.record_turn`."""
        key, fingerprint = record.key, fingerprint_of_message(record.request)
        conversation = await self._known.get(key.tenant, key.conversation_id)
        known = await self._fingerprint(key, conversation)
        if known is not None:
            require_same_request(key, known, fingerprint)
            return
        self._known.record(record, conversation, fingerprint)
        write = partial(record_turn, record=record, channel=channel, fingerprint=fingerprint, now=self._now())
        try:
            with conversation.held():
                # What it led to has to be the last word in the file too.
                await self._writes.flush(key.tenant, key.conversation_id)
                await asyncio.shield(self._writer.submit(write))
        except LmosError:
            conversation.turns.pop(key.turn_id, None)
            self._known.forget(key)
            raise

    async def close(self) -> None:
        """Writes what waits."""
        await self._writes.close()

    async def _fingerprint(self, key: TurnKey, conversation: KnownConversation) -> bytes | None:
        """What is known of the request of a turn, None where the turn is new."""
        if not conversation.all_turns and key.turn_id not in conversation.turns:
            with conversation.held():
                found = await self._stored.find_turn(key)
            if found is not None:
                return found.fingerprint
        return conversation.turns.get(key.turn_id)

    async def _ended_turn(self, key: TurnKey) -> int | None:
        """The row of a turn that does not run, or None where it has to be looked at again.

        Raises:
            TurnNotFoundError: there is no such turn.
        """
        turn = await self._stored.find_turn(key)
        if key in self._running:
            return None
        if turn is None:
            if conversation := self._known.find(key):
                conversation.turns.pop(key.turn_id, None)
            raise turn_not_found(key)
        if not turn.running:
            return turn.row
        await self._writer.submit(partial(end_broken_turn, turn=turn, now=self._now()))
        self._known.forget(key)
        return None

    async def _read_running(self, turn: RunningTurn, after: int, _up_to: int) -> Sequence[bytes]:
        found = await self._stored.events(turn.row, after)
        return found[1] if found else ()

    def _settle(self, turn: RunningTurn) -> None:
        """The last of a turn was written, or nothing of it ever will be."""
        conversation = self._known.find(turn.key)
        if turn.lost is not None:
            _LOG.warning("turn %s is not in the conversation log: %s", turn.key.turn_id, turn.lost)
            if conversation and not turn.row:
                conversation.turns.pop(turn.key.turn_id, None)
            if turn.beginning.durability is Durability.BEHIND and turn.end is None:
                return  # it goes on without the log
        self._drop(turn)
        if turn.lost is not None:
            self._known.forget(turn.key)

    def _drop(self, turn: RunningTurn) -> None:
        if self._running.get(turn.key) is turn:
            del self._running[turn.key]
            if conversation := self._known.find(turn.key):
                conversation.open_turns -= 1

    def _keep_up(self) -> None:
        now = self._now()
        if now < self._next_upkeep:
            return
        self._next_upkeep = now + _UPKEEP_EVERY
        self._known.forget_idle()
        running = tuple(self._running.values())

        def keep_up(connection: sqlite3.Connection) -> bool:
            end_broken_turns(connection, running, now)
            return forget_old_conversations(connection, now - self._keep_for)

        self._writer.submit(keep_up).add_done_callback(self._kept_up)

    def _kept_up(self, done: asyncio.Future[bool]) -> None:
        error = done.exception()
        if error is not None:
            _LOG.warning("the conversation log could not be kept in order: %s", error)
        elif done.result():
            # There is more of it than goes into one transaction.
            self._next_upkeep = self._now()


@asynccontextmanager
async def open_turn_log(
    path: Path, *, keep_for: timedelta = KEEP_CONVERSATIONS_FOR, now: Callable[[], datetime] = utc_now
) -> AsyncIterator[SqliteTurnLog]:
    """Opens the log in a file, made where there is none; conversations are kept for so long after their last turn.

    Turns that ran when the process before this one ended get their end: an error, and a failed `turn_done`.

    Raises:
        StoreUnavailableError: the file cannot be opened or is no database.
        EnvironmentFaultError: another process has it, it cannot be written, or another version made it.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(sole_owner(path))
        connection, in_file = await asyncio.to_thread(_prepared, path, now(), keep_for)
        writer = await stack.enter_async_context(open_group_commit(connection))
        log = SqliteTurnLog(writer, stack.enter_context(open_readers(path)), in_file, keep_for, now)
        stack.push_async_callback(log.close)
        yield log


def _prepared(path: Path, now: datetime, keep_for: timedelta) -> tuple[sqlite3.Connection, set[int] | None]:
    connection = open_for_writing(path)
    try:
        connection.execute("BEGIN IMMEDIATE")
        end_broken_turns(connection, (), now)
        while forget_old_conversations(connection, now - keep_for):
            pass
        connection.execute("COMMIT")
        places = rows.places(connection, MOST_PLACES + 1)
    except sqlite3.Error as error:
        connection.close()
        raise store_unavailable(error) from error
    return connection, {hash(place) for place in places} if len(places) <= MOST_PLACES else None
