"""A turn log in memory that keeps the last turns: for one process, until it ends."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count, islice
from typing import TYPE_CHECKING

from lmos_grpc.conversation.clock import utc_now
from lmos_grpc.conversation.page_token import page_token_after, place_of
from lmos_grpc.conversation.refusal import conversation_not_found, require_same_request, turn_not_found
from lmos_grpc.conversation.running_turn import Beginning, RunningTurn, TurnEnd
from lmos_grpc.conversation.turn_log import Begun, TurnPage
from lmos_grpc.conversation.turn_story import events_of, messages_of, state_after_record
from lmos_grpc.conversation.wire import fingerprint_of, fingerprint_of_message
from lmos_grpc.domain.conversation import Conversation, ConversationState, Durability, TurnRecord
from lmos_grpc.domain.heard import as_heard

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from datetime import datetime

    from lmos_grpc.domain.conversation import TurnKey
    from lmos_grpc.domain.event import Outcome
    from lmos_grpc.domain.live_session import HeardAnswer
    from lmos_grpc.domain.turn import Message, TurnRequest

KEEP_TURNS = 1_000
KEEP_FOR = timedelta(hours=1)


@dataclass(slots=True)
class _Turn:
    record: TurnRecord
    fingerprint: bytes
    place: int
    # What has dense numbers, with the first of them.
    chunks: tuple[tuple[int, list[bytes]], ...]
    running: RunningTurn | None = None

    @property
    def is_seen(self) -> bool:
        return self.record.outcome is not None or bool(self.chunks[0][1])

    def seen(self) -> TurnRecord:
        first, events = self.chunks[-1]
        return replace(self.record, last_sequence=first + len(events) - 1)


@dataclass(slots=True)
class _Conversation:
    channel: str
    created_at: datetime
    updated_at: datetime
    state: ConversationState = field(default_factory=ConversationState)
    turns: dict[str, _Turn] = field(default_factory=dict)


class MemoryTurnLog:
    """A `TurnLog` that forgets a turn when `keep_turns` ended after it, or `keep_for` after its end.

    Running turns are never forgotten, and a conversation is forgotten with its last turn.
    """

    def __init__(
        self,
        *,
        keep_turns: int = KEEP_TURNS,
        keep_for: timedelta = KEEP_FOR,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._keep_turns = keep_turns
        self._keep_for = keep_for
        self._now = now
        self._conversations: dict[tuple[str, str], _Conversation] = {}
        # In the order of their ends.
        self._ended: dict[TurnKey, datetime] = {}
        self._places = count(1)

    async def begin(self, key: TurnKey, request: TurnRequest, durability: Durability = Durability.BEHIND) -> Begun:
        """As `TurnLog.begin`. Nothing lasts here, and so nothing is waited for."""
        del durability
        self._forget_old()
        beginning = Beginning(request, fingerprint_of(request), Durability.BEHIND, self._now())
        known = self._find(key)
        if known is not None:
            require_same_request(key, known.fingerprint, beginning.fingerprint)
            return Begun(key, None)
        running = RunningTurn(key, beginning)
        record = TurnRecord(key, request.message, (), None, beginning.at, None, 0)
        turn = _Turn(record, beginning.fingerprint, next(self._places), ((1, running.events),), running)
        self._add(turn, request.context.channel)
        return Begun(key, running)

    async def finish(
        self, turn: RunningTurn, outcome: Outcome, responses: tuple[Message, ...], state: ConversationState
    ) -> None:
        """As `TurnLog.finish`."""
        if turn.end is not None:
            return
        turn.end = TurnEnd(outcome, responses, state, self._now())
        kept = self._require(turn.key)
        kept.record = replace(kept.record, outcome=outcome, responses=responses, ended_at=turn.end.at)
        kept.running = None
        self._end(turn.key, state)
        turn.close()

    async def heard(self, key: TurnKey, answer: HeardAnswer) -> None:
        """As `TurnLog.heard`."""
        turn = self._find(key)
        if turn and turn.record.outcome is not None:
            turn.record = replace(turn.record, responses=as_heard(turn.record.responses, answer))

    def abandon(self, turn: RunningTurn) -> None:
        """As `TurnLog.abandon`."""
        if turn.last or turn.end is not None:
            return
        self._remove(turn.key)
        turn.close(turn_not_found(turn.key))

    async def follow(self, key: TurnKey, after_sequence: int) -> AsyncGenerator[bytes, None]:
        """As `TurnLog.follow`."""
        turn = self._require(key)
        if turn.running is None:
            for first, events in turn.chunks:
                for event in events[max(0, after_sequence + 1 - first) :]:
                    yield event
            return
        async with aclosing(turn.running.follow(after_sequence, _nothing_else)) as shown:
            async for event in shown:
                yield event

    async def state(self, tenant: str, conversation_id: str) -> ConversationState:
        """As `TurnLog.state`."""
        conversation = self._conversations.get((tenant, conversation_id))
        return conversation.state if conversation else ConversationState()

    async def state_before(self, key: TurnKey) -> ConversationState | None:
        """As `TurnLog.state_before`."""
        return None if self._find(key) else await self.state(key.tenant, key.conversation_id)

    async def history(self, tenant: str, conversation_id: str, limit: int) -> tuple[Message, ...]:
        """As `TurnLog.history`."""
        conversation = self._conversations.get((tenant, conversation_id))
        turns = conversation.turns.values() if conversation else ()
        return messages_of((turn.record for turn in turns if turn.record.outcome is not None), limit)

    async def get_conversation(self, tenant: str, conversation_id: str) -> Conversation:
        """As `TurnLog.get_conversation`."""
        found = self._conversation(tenant, conversation_id)
        return Conversation(tenant, conversation_id, found.channel, found.created_at, found.updated_at, found.state)

    async def list_turns(self, tenant: str, conversation_id: str, page_size: int, page_token: str = "") -> TurnPage:
        """As `TurnLog.list_turns`."""
        after = place_of(page_token)
        turns = self._conversation(tenant, conversation_id).turns.values()
        found = list(islice((turn for turn in turns if turn.place > after and turn.is_seen), page_size + 1))
        shown = found[:page_size]
        more = len(found) > page_size
        return TurnPage(tuple(turn.seen() for turn in shown), page_token_after(shown[-1].place) if more else "")

    async def record_turn(self, record: TurnRecord, channel: str) -> None:
        """As `TurnLog.record_turn`."""
        self._forget_old()
        fingerprint = fingerprint_of_message(record.request)
        known = self._find(record.key)
        if known is not None:
            require_same_request(record.key, known.fingerprint, fingerprint)
            return
        turn = _Turn(record, fingerprint, next(self._places), events_of(record))
        conversation = self._add(turn, channel)
        self._end(record.key, state_after_record(conversation.state, record))

    def _find(self, key: TurnKey) -> _Turn | None:
        conversation = self._conversations.get((key.tenant, key.conversation_id))
        return conversation.turns.get(key.turn_id) if conversation else None

    def _require(self, key: TurnKey) -> _Turn:
        turn = self._find(key)
        if turn is None:
            raise turn_not_found(key)
        return turn

    def _conversation(self, tenant: str, conversation_id: str) -> _Conversation:
        found = self._conversations.get((tenant, conversation_id))
        if found is None or not any(turn.is_seen for turn in found.turns.values()):
            raise conversation_not_found(conversation_id)
        return found

    def _add(self, turn: _Turn, channel: str) -> _Conversation:
        key, now = turn.record.key, self._now()
        conversation = self._conversations.setdefault(
            (key.tenant, key.conversation_id), _Conversation(channel, now, now)
        )
        conversation.turns[key.turn_id] = turn
        conversation.updated_at = now
        return conversation

    def _end(self, key: TurnKey, state: ConversationState) -> None:
        conversation = self._conversations[key.tenant, key.conversation_id]
        conversation.state = replace(state, turn_count=conversation.state.turn_count + 1)
        conversation.updated_at = self._ended[key] = self._now()

    def _forget_old(self) -> None:
        oldest = self._now() - self._keep_for
        while self._ended:
            key, ended_at = next(iter(self._ended.items()))
            if len(self._ended) <= self._keep_turns and ended_at > oldest:
                return
            del self._ended[key]
            self._remove(key)

    def _remove(self, key: TurnKey) -> None:
        conversation = self._conversations[key.tenant, key.conversation_id]
        del conversation.turns[key.turn_id]
        if not conversation.turns:
            del self._conversations[key.tenant, key.conversation_id]


async def _nothing_else(_after: int, _up_to: int) -> Sequence[bytes]:
    return ()
