"""The clock that leases run by: it stands still while this process does."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Who waits for the clock reads it at least this often.
LONGEST_WAIT = timedelta(milliseconds=500)
_LONGEST_STEP_SECONDS = 2 * LONGEST_WAIT.total_seconds()


class LeaseClock:
    """Seconds in which renewals could be taken in.

    A stalled event loop or a stopped process (SIGSTOP, a debugger, a frozen container) takes no renewals, so that
    time is nobody's fault. Readings come at least every `LONGEST_WAIT`; a longer gap is a pause, and only its
    beginning counts. Otherwise every lease would be overdue at once when the process wakes.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen = clock()
        self._now = 0.0

    def read(self) -> float:
        """The seconds that counted so far."""
        seen = self._clock()
        self._now += min(max(seen - self._seen, 0.0), _LONGEST_STEP_SECONDS)
        self._seen = seen
        return self._now
