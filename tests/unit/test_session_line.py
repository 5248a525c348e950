"""What the caller of a session does is told to nobody for whom it is not."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.agent_service.session_line import SessionLine
from lmos_grpc.agent_service.session_turn import SessionState
from lmos_grpc.domain.event import Source
from lmos_grpc.domain.live_session import (
    CancelRequest,
    KeysPressed,
    PlaybackReport,
    PlaybackState,
    SessionStart,
    UserText,
)
from lmos_grpc.domain.turn import CallContext

if TYPE_CHECKING:
    from lmos_grpc.domain.live_session import CallerInput

TILL = Source("till-agent", "1.0.0", "pay")


@dataclass
class Recorded:
    """An audience that hears everything."""

    told: list[tuple[str, CallerInput, str]] = field(default_factory=list)

    def hear(self, line: str, given: CallerInput, *, only: str = "") -> bool:
        self.told.append((line, given, only))
        return True

    def leave(self, line: str) -> None:
        raise AssertionError(line)


def state(
    *, sensitive: bool = False, asked_by: Source | None = None, last_turn_sensitive: bool = False
) -> SessionState:
    return SessionState(
        "s",
        "token",
        CallContext(),
        SessionStart(),
        last_turn="t2",
        last_turn_sensitive=last_turn_sensitive,
        asked_by=asked_by,
        sensitive=sensitive,
    )


def test_what_is_not_complete_is_told_to_whoever_has_the_line() -> None:
    audience = Recorded()
    SessionLine(audience, state()).incomplete(UserText("par", is_final=False))
    assert audience.told == [("s", UserText("par", is_final=False), "")]


@pytest.mark.parametrize("by_the_edge", [False, True])
def test_what_is_sensitive_is_told_to_the_agent_that_asked_and_marked(*, by_the_edge: bool) -> None:
    audience = Recorded()
    key = KeysPressed("4", complete=False, sensitive=by_the_edge)
    SessionLine(audience, state(sensitive=not by_the_edge, asked_by=TILL)).incomplete(key)
    ((_, told, only),) = audience.told
    assert only == "till-agent"
    assert isinstance(told, KeysPressed)
    assert told.sensitive


def test_what_is_sensitive_and_nobody_asked_for_is_told_to_nobody() -> None:
    audience = Recorded()
    SessionLine(audience, state()).incomplete(UserText("4929", is_final=False, sensitive=True))
    assert not audience.told


def test_what_was_heard_is_told_of_the_last_turn_only() -> None:
    audience = Recorded()
    line = SessionLine(audience, state())
    line.heard(CancelRequest("t1", heard_text="old"))
    line.heard(CancelRequest("t2", heard=timedelta(0), heard_text="new"))
    assert [given for _, given, _ in audience.told] == [CancelRequest("t2", heard=timedelta(0), heard_text="new")]


def test_what_was_heard_of_a_sensitive_answer_is_told_without_its_text() -> None:
    audience = Recorded()
    report = PlaybackReport(PlaybackState.INTERRUPTED, "t2", played=timedelta(seconds=1), heard_text="4929")
    SessionLine(audience, state(last_turn_sensitive=True)).heard(report)
    assert [given for _, given, _ in audience.told] == [
        PlaybackReport(PlaybackState.INTERRUPTED, "t2", played=timedelta(seconds=1))
    ]
