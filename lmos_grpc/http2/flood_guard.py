"""Tells a flood from the odd frame that leads to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos_grpc.http2.frames import ENHANCE_YOUR_CALM, ConnectionFaultError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.http2.limits import Limits


class FloodGuard:
    """A budget for frames that cost us and give the peer nothing; what makes sense adds to it, and so does time."""

    __slots__ = ("_at", "_clock", "_left", "_limits")

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._left = float(limits.nuisance_burst)
        self._at = clock()

    def sense(self, worth: int) -> None:
        """A frame that makes up for others: a grpc-go server, say, sends a PING with each read."""
        if self._left < self._limits.nuisance_burst:
            self._left += worth

    def nuisance(self, cost: int = 1) -> None:
        """A frame that leads to nothing.

        Raises:
            ConnectionFaultError: there were too many.
        """
        self._left -= cost
        if self._left > 0:
            return
        now = self._clock()
        self._left = min(float(self._limits.nuisance_burst), (now - self._at) * self._limits.nuisances_per_second)
        self._at = now
        if self._left < 1:
            raise ConnectionFaultError(ENHANCE_YOUR_CALM, "too many frames that lead to nothing")
