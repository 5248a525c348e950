"""The rows of the turn log: what is read and written, as functions of a connection."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from lmos_grpc.conversation.known_conversations import MOST_RECORDS, MOST_TURNS, KnownConversation
from lmos_grpc.conversation.wire import (
    message_from_bytes,
    message_to_bytes,
    question_from_bytes,
    question_to_bytes,
    responses_from_bytes,
    responses_to_bytes,
)
from lmos_grpc.domain.conversation import Conversation, ConversationState, TurnKey, TurnRecord
from lmos_grpc.domain.event import Outcome
from lmos_grpc.wire.framed_event import join_frames, split_frames

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence
    from typing import Any

    from lmos_grpc.domain.turn import Message

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class TurnRow:
    """A turn as far as it is needed to go on with it."""

    row: int
    conversation: int
    turn_id: str
    fingerprint: bytes
    running: bool


def find_turn(connection: sqlite3.Connection, key: TurnKey) -> TurnRow | None:
    """The turn, or None."""
    found = connection.execute(
        "SELECT turn.id, conversation, turn_id, fingerprint, outcome IS NULL FROM turn "
        "JOIN conversation ON conversation.id = conversation WHERE tenant = ? AND conversation_id = ? AND turn_id = ?",
        (key.tenant, key.conversation_id, key.turn_id),
    ).fetchone()
    return _turn_row(found) if found else None


def running_turns(connection: sqlite3.Connection) -> tuple[TurnRow, ...]:
    """All turns without an end."""
    found = connection.execute(
        "SELECT id, conversation, turn_id, fingerprint, outcome IS NULL FROM turn WHERE outcome IS NULL"
    )
    return tuple(_turn_row(each) for each in found)


def _turn_row(found: tuple[Any, ...]) -> TurnRow:  # Any: SQLite's rows are untyped; the schema types them
    row, conversation, turn_id, fingerprint, running = found
    return TurnRow(row, conversation, turn_id, fingerprint, running=bool(running))


def add_conversation(connection: sqlite3.Connection, key: TurnKey, channel: str, now: datetime) -> int:
    """The row of the conversation of a turn, made where there is none."""
    made = connection.execute(
        "INSERT INTO conversation (tenant, conversation_id, channel, created_at, updated_at) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET updated_at = excluded.updated_at RETURNING id",
        (key.tenant, key.conversation_id, channel, _micros(now), _micros(now)),
    ).fetchone()
    return int(made[0])


def add_turn(
    connection: sqlite3.Connection, conversation: int, fingerprint: bytes, turn: tuple[str, Message, datetime]
) -> int:
    """The row of a new turn: its id, what was asked, and when it began."""
    turn_id, request, created_at = turn
    made = connection.execute(
        "INSERT INTO turn (conversation, turn_id, fingerprint, request, created_at) VALUES (?, ?, ?, ?, ?) "
        "RETURNING id",
        (conversation, turn_id, fingerprint, message_to_bytes(request), _micros(created_at)),
    ).fetchone()
    return int(made[0])


def end_turn(
    connection: sqlite3.Connection, row: int, outcome: Outcome, responses: Iterable[Message], ended_at: datetime
) -> bool:
    """Writes the end of a turn; False where it had one."""
    ended = connection.execute(
        "UPDATE turn SET outcome = ?, responses = ?, ended_at = ? WHERE id = ? AND outcome IS NULL",
        (outcome.name, responses_to_bytes(responses), _micros(ended_at), row),
    )
    return ended.rowcount > 0


def get_responses(connection: sqlite3.Connection, row: int) -> tuple[Message, ...]:
    """What was answered in a turn."""
    (responses,) = connection.execute("SELECT responses FROM turn WHERE id = ?", (row,)).fetchone()
    return responses_from_bytes(responses)


def set_responses(connection: sqlite3.Connection, row: int, responses: Iterable[Message]) -> None:
    """Writes what was answered in a turn anew."""
    connection.execute("UPDATE turn SET responses = ? WHERE id = ?", (responses_to_bytes(responses), row))


def set_state(connection: sqlite3.Connection, row: int, state: ConversationState, now: datetime) -> None:
    """Writes what routing has to know after the turn in this row, and counts a turn."""
    connection.execute(
        "UPDATE conversation SET last_agent = ?, last_capability = ?, open_question = ?, updated_at = ?, "
        "turn_count = turn_count + 1 WHERE id = (SELECT conversation FROM turn WHERE id = ?)",
        (state.last_agent, state.last_capability, question_to_bytes(state.open_question), _micros(now), row),
    )


def get_state(connection: sqlite3.Connection, row: int) -> ConversationState:
    """What routing has to know of the conversation of the turn in this row."""
    found = connection.execute(
        "SELECT last_agent, last_capability, open_question, turn_count FROM conversation "
        "WHERE id = (SELECT conversation FROM turn WHERE id = ?)",
        (row,),
    ).fetchone()
    return _state(found)


def places(connection: sqlite3.Connection, limit: int) -> list[tuple[str, str]]:
    """Tenant and id of the conversations, at most `limit`."""
    return connection.execute("SELECT tenant, conversation_id FROM conversation LIMIT ?", (limit,)).fetchall()


def known_conversation(connection: sqlite3.Connection, tenant: str, conversation_id: str) -> KnownConversation:
    """What the log keeps in memory of an active conversation."""
    found = find_conversation(connection, tenant, conversation_id)
    if found is None:
        return KnownConversation()
    row, conversation = found
    turns = connection.execute(
        "SELECT turn_id, fingerprint FROM turn WHERE conversation = ? ORDER BY id DESC LIMIT ?", (row, MOST_TURNS + 1)
    ).fetchall()
    records = last_ended_turns(connection, row, conversation, MOST_RECORDS)
    known = KnownConversation(conversation.state, dict(turns), all_turns=len(turns) <= MOST_TURNS)
    known.all_records = len(records) < MOST_RECORDS
    for record in records:
        known.said(record)
    return known


def add_chunk(connection: sqlite3.Connection, row: int, first: int, events: Sequence[bytes]) -> None:
    """Writes events of a turn that have dense numbers from one on."""
    connection.execute(
        "INSERT INTO chunk (turn, first_sequence, last_sequence, events) VALUES (?, ?, ?, ?)",
        (row, first, first + len(events) - 1, join_frames(events)),
    )


def read_chunk(connection: sqlite3.Connection, row: int, after: int) -> tuple[int, list[bytes]] | None:
    """The events of a turn that come next after a number, and the number of the first; None where there are none."""
    found = connection.execute(
        "SELECT first_sequence, events FROM chunk WHERE turn = ? AND last_sequence > ? ORDER BY first_sequence LIMIT 1",
        (row, after),
    ).fetchone()
    if found is None:
        return None
    first, events = found
    gone = max(0, after + 1 - first)
    return first + gone, split_frames(events)[gone:]


def read_events(connection: sqlite3.Connection, row: int) -> list[bytes]:
    """All events of a turn, in order."""
    found = connection.execute("SELECT events FROM chunk WHERE turn = ? ORDER BY first_sequence", (row,))
    return [event for (events,) in found for event in split_frames(events)]


def forget_turn(connection: sqlite3.Connection, row: int) -> None:
    """Takes a turn away, and its conversation where that has no other."""
    conversation = connection.execute("DELETE FROM turn WHERE id = ? RETURNING conversation", (row,)).fetchone()
    if conversation:
        connection.execute(
            "DELETE FROM conversation WHERE id = ? AND NOT EXISTS (SELECT 1 FROM turn WHERE conversation = ?)",
            (*conversation, *conversation),
        )


def forget_conversations(connection: sqlite3.Connection, before: datetime, limit: int) -> int:
    """Takes away conversations that were last written to before a moment, at most `limit`; how many there were."""
    return connection.execute(
        "DELETE FROM conversation WHERE id IN (SELECT id FROM conversation WHERE updated_at < ? "
        "AND NOT EXISTS (SELECT 1 FROM turn WHERE conversation = conversation.id AND outcome IS NULL) LIMIT ?)",
        (_micros(before), limit),
    ).rowcount


def find_conversation(
    connection: sqlite3.Connection, tenant: str, conversation_id: str
) -> tuple[int, Conversation] | None:
    """The conversation and its row, or None."""
    found = connection.execute(
        "SELECT id, channel, created_at, updated_at, last_agent, last_capability, open_question, turn_count "
        "FROM conversation WHERE tenant = ? AND conversation_id = ?",
        (tenant, conversation_id),
    ).fetchone()
    if not found:
        return None
    row, channel, created_at, updated_at, *state = found
    return row, Conversation(tenant, conversation_id, channel, _moment(created_at), _moment(updated_at), _state(state))


_RECORD = (
    "SELECT id, turn_id, request, responses, outcome, created_at, ended_at, "
    "(SELECT coalesce(max(last_sequence), 0) FROM chunk WHERE turn = turn.id) FROM turn WHERE conversation = ? "
)


def turns_after(
    connection: sqlite3.Connection, row: int, conversation: Conversation, after: int, limit: int
) -> tuple[tuple[int, TurnRecord], ...]:
    """Turns of a conversation, each with its row, from the one after a row on, oldest first."""
    found = connection.execute(f"{_RECORD} AND id > ? ORDER BY id LIMIT ?", (row, after, limit))
    return tuple((each[0], _record(each, conversation)) for each in found)


def last_ended_turns(
    connection: sqlite3.Connection, row: int, conversation: Conversation, limit: int
) -> tuple[TurnRecord, ...]:
    """The last turns of a conversation that ended, oldest first."""
    found = connection.execute(f"{_RECORD} AND outcome IS NOT NULL ORDER BY id DESC LIMIT ?", (row, limit)).fetchall()
    return tuple(_record(each, conversation) for each in reversed(found))


def _record(found: tuple[Any, ...], conversation: Conversation) -> TurnRecord:  # Any: as above
    _, turn_id, request, responses, outcome, created_at, ended_at, last_sequence = found
    return TurnRecord(
        key=TurnKey(conversation.tenant, conversation.conversation_id, turn_id),
        request=message_from_bytes(request),
        responses=responses_from_bytes(responses),
        outcome=Outcome[outcome] if outcome else None,
        created_at=_moment(created_at),
        ended_at=None if ended_at is None else _moment(ended_at),
        last_sequence=last_sequence,
    )


def _state(found: Sequence[Any]) -> ConversationState:  # Any: as above
    last_agent, last_capability, question, turn_count = found
    return ConversationState(last_agent, last_capability, question_from_bytes(question), turn_count)


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(micros: int) -> datetime:
    return _EPOCH + micros * _MICROSECOND
