"""How long to wait before something is tried again."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST = timedelta(milliseconds=100)
_LONGEST = timedelta(seconds=2)


class Backoff:
    """Pauses that double with every failure, each cut by up to a half, so that many who failed do not come as one."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._pause = _FIRST

    def reset(self) -> None:
        """It worked: begin with short pauses again."""
        self._pause = _FIRST

    def next(self) -> timedelta:
        """The pause after one more failure."""
        pause, self._pause = self._pause, min(2 * self._pause, _LONGEST)
        return pause * (0.5 + self._jitter() / 2)
