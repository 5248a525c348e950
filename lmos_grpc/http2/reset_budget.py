"""Counts the streams that we reset, because servers count them too."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.http2.limits import Limits


class ResetBudget:
    """So many resets at once, and so many a second: a bucket that fills again."""

    __slots__ = ("_at", "_clock", "_left", "_limits")

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._left = float(limits.reset_burst)
        self._at = clock()

    def spend(self) -> bool:
        """Counts a reset; false when there were too many."""
        now = self._clock()
        filled = self._left + (now - self._at) * self._limits.resets_per_second
        self._left = min(filled, float(self._limits.reset_burst)) - 1
        self._at = now
        return self._left > 0
