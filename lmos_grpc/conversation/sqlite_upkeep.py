"""What keeps the file of the turn log in order: the ends of broken turns, and the end of old conversations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos_grpc.conversation import sqlite_rows as rows
from lmos_grpc.conversation.turn_story import end_of_broken_turn
from lmos_grpc.wire.framed_event import event_of, frame_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from datetime import datetime

    from lmos_grpc.conversation.running_turn import RunningTurn
    from lmos_grpc.conversation.sqlite_rows import TurnRow

# So many go in one transaction, because everybody's writes wait for it.
_CONVERSATIONS_AT_ONCE = 50


def end_broken_turns(connection: sqlite3.Connection, running: Iterable[RunningTurn], now: datetime) -> None:
    """Ends the turns that have no end and do not run."""
    alive = {turn.row for turn in running}
    for turn in rows.running_turns(connection):
        if turn.row not in alive:
            end_broken_turn(connection, turn, now)


def end_broken_turn(connection: sqlite3.Connection, turn: TurnRow, now: datetime) -> None:
    """Ends a turn that nobody runs any more."""
    events = [event_of(frame) for frame in rows.read_events(connection, turn.row)]
    if not events:
        rows.forget_turn(connection, turn.row)
        return
    rest = end_of_broken_turn(events, rows.get_state(connection, turn.row))
    if rows.end_turn(connection, turn.row, rest.outcome, rest.responses, now):
        if rest.missing:
            rows.add_chunk(connection, turn.row, rest.missing[0].sequence, [frame_of(each) for each in rest.missing])
        rows.set_state(connection, turn.row, rest.state, now)


def forget_old_conversations(connection: sqlite3.Connection, before: datetime) -> bool:
    """Takes away some conversations that were last written to before a moment; whether there may be more."""
    return rows.forget_conversations(connection, before, _CONVERSATIONS_AT_ONCE) == _CONVERSATIONS_AT_ONCE
