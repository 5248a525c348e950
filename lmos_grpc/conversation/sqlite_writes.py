"""What the turn log writes in one go, as functions of the writer's connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmos_grpc.conversation import sqlite_rows as rows
from lmos_grpc.conversation.turn_story import events_of, state_after_record
from lmos_grpc.domain.event import Outcome
from lmos_grpc.domain.heard import as_heard

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime

    from lmos_grpc.conversation.running_turn import RunningTurn, TurnEnd
    from lmos_grpc.domain.conversation import TurnKey, TurnRecord
    from lmos_grpc.domain.live_session import HeardAnswer


@dataclass(frozen=True, slots=True)
class TurnWrite:
    """What is new of a turn: its events from a number on, and its end where it has one.

    One at a time of a turn: the next one has to know the row that this one makes.
    """

    turn: RunningTurn
    first: int
    events: list[bytes]
    end: TurnEnd | None

    @property
    def last(self) -> int:
        """The number of the last event."""
        return self.first + len(self.events) - 1

    def __call__(self, connection: sqlite3.Connection) -> int:
        """Writes; gives the row of the turn."""
        row = self.turn.row or self._begin(connection)
        if self.events:
            rows.add_chunk(connection, row, self.first, self.events)
        end = self.end
        if end and rows.end_turn(connection, row, end.outcome, end.responses, end.at):
            rows.set_state(connection, row, end.state, end.at)
        return row

    def _begin(self, connection: sqlite3.Connection) -> int:
        key, began = self.turn.key, self.turn.beginning
        conversation = rows.add_conversation(connection, key, began.request.context.channel, began.at)
        return rows.add_turn(
            connection, conversation, began.fingerprint, (key.turn_id, began.request.message, began.at)
        )


def record_turn(
    connection: sqlite3.Connection, record: TurnRecord, channel: str, fingerprint: bytes, now: datetime
) -> None:
    """Writes a whole turn that is new."""
    conversation = rows.add_conversation(connection, record.key, channel, now)
    turn = (record.key.turn_id, record.request, record.created_at)
    row = rows.add_turn(connection, conversation, fingerprint, turn)
    for first, events in events_of(record):
        rows.add_chunk(connection, row, first, events)
    rows.end_turn(connection, row, record.outcome or Outcome.COMPLETED, record.responses, record.ended_at or now)
    rows.set_state(connection, row, state_after_record(rows.get_state(connection, row), record), now)


def keep_heard(connection: sqlite3.Connection, key: TurnKey, answer: HeardAnswer) -> None:
    """Writes what was heard of an ended turn in place of what was said."""
    found = rows.find_turn(connection, key)
    if found is not None and not found.running:
        said = rows.get_responses(connection, found.row)
        rows.set_responses(connection, found.row, as_heard(said, answer))
