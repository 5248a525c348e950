"""What a caller can say in a live session, and what the session itself answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

SESSION_KEEPALIVE = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class StartSession:
    """Opens the session; the first input, exactly once."""

    conversation_id: str = ""
    locale: str = ""
    user_id: str = ""
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Say:
    """Final text of the caller: begins a turn."""

    text: str
    turn_id: str = ""
    locale: str = ""


@dataclass(frozen=True, slots=True)
class CancelTurn:
    """Stop a turn; an empty id means the running one."""

    turn_id: str = ""


@dataclass(frozen=True, slots=True)
class PingSession:
    """Are you there?"""

    id: int


@dataclass(frozen=True, slots=True)
class EndSession:
    """Ends the session."""


@dataclass(frozen=True, slots=True)
class UnsupportedInput:
    """An input of a kind that this service does not take; `kind` is its name in the contract, empty where unknown."""

    kind: str


SessionInput = StartSession | Say | CancelTurn | PingSession | EndSession | UnsupportedInput


@dataclass(frozen=True, slots=True)
class SessionReady:
    """The session is open."""

    session_id: str
    conversation_id: str
    keepalive: timedelta = SESSION_KEEPALIVE


@dataclass(frozen=True, slots=True)
class PongSession:
    """Answers a ping."""

    id: int


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The session is over."""


SessionAnswer = SessionReady | PongSession | SessionEnded
