"""What the turn log writes in one go, as functions of the writer's connection; each first checks, then writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos_grpc.conversation import sqlite_rows as rows
from lmos_grpc.conversation.refusal import turn_not_found
from lmos_grpc.conversation.sqlite_upkeep import end_broken_turn
from lmos_grpc.conversation.turn_story import events_of, state_after_record
from lmos_grpc.domain.event import Outcome

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from datetime import datetime

    from lmos_grpc.conversation.followers import RunningTurn
    from lmos_grpc.domain.conversation import ConversationState, TurnKey, TurnRecord
    from lmos_grpc.domain.turn import Message, TurnRequest


def begin_turn(
    connection: sqlite3.Connection, key: TurnKey, running: RunningTurn, request: TurnRequest, now: datetime
) -> bytes | None:
    """Takes a turn in and tells `running` its row, or gives the fingerprint of the turn that had its id before."""
    known = rows.find_turn(connection, key)
    if known is not None and known.running:
        # It is no turn of this process, or it would not have come here.
        end_broken_turn(connection, known, now)
        known = rows.find_turn(connection, key)
    if known is not None:
        return known.fingerprint
    conversation = rows.add_conversation(connection, key, request.context.channel, now)
    running.row = rows.add_turn(connection, conversation, running.fingerprint, (key.turn_id, request.message, now))
    return None


def append_events(
    connection: sqlite3.Connection, row: int, events: Sequence[tuple[int, bytes]], cut_after: int | None
) -> None:
    """Writes events of a turn, where `cut_after` says so in place of those that a cancelled call has left."""
    if cut_after is not None:
        rows.cut_events(connection, row, cut_after)
    rows.add_events(connection, row, events)


def finish_turn(
    connection: sqlite3.Connection,
    key: TurnKey,
    last: int,
    end: tuple[Outcome, tuple[Message, ...], ConversationState],
    now: datetime,
) -> None:
    """Ends a turn whose last event has this number."""
    turn = rows.find_turn(connection, key)
    if turn is None:
        raise turn_not_found(key)
    outcome, responses, state = end
    if rows.end_turn(connection, turn.row, outcome, responses, now):
        rows.cut_events(connection, turn.row, last)
        rows.set_state(connection, turn.conversation, state, now)


def record_turn(
    connection: sqlite3.Connection, record: TurnRecord, channel: str, fingerprint: bytes, now: datetime
) -> bytes:
    """Writes a whole turn where it is new; the fingerprint of the one that is in the log."""
    known = rows.find_turn(connection, record.key)
    if known is not None:
        return known.fingerprint
    conversation = rows.add_conversation(connection, record.key, channel, now)
    turn = (record.key.turn_id, record.request, record.created_at)
    row = rows.add_turn(connection, conversation, fingerprint, turn)
    rows.add_events(connection, row, rows.event_rows(events_of(record)))
    rows.end_turn(connection, row, record.outcome or Outcome.COMPLETED, record.responses, record.ended_at or now)
    rows.set_state(connection, conversation, state_after_record(rows.get_state(connection, conversation), record), now)
    return fingerprint
