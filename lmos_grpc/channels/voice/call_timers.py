"""The times that a call waits for: each is set, is due once, and is taken off."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta


class Timer(Enum):
    """What a call waits for."""

    NO_INPUT = "the caller to say something"
    FILLER = "the first word of the answer"
    TURN = "the end of the answer"
    AWAY = "the mesh to come back"
    PING = "the next sign of life"
    CALL = "the end of the longest call"
    WRAP_UP = "the mesh to end the session"


@dataclass(slots=True)
class CallTimers:
    """Times are seconds of any steady clock."""

    _due: dict[Timer, float] = field(default_factory=dict)

    def start(self, timer: Timer, now: float, after: timedelta) -> None:
        """Sets a timer, anew where it was set before."""
        self._due[timer] = now + after.total_seconds()

    def stop(self, *timers: Timer) -> None:
        """Takes timers off."""
        for each in timers:
            self._due.pop(each, None)

    def due(self, now: float) -> Iterator[Timer]:
        """The timers that ran out; each once."""
        for each in [each for each, at in self._due.items() if at <= now]:
            del self._due[each]
            yield each
