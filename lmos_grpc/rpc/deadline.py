"""Deadlines: what is left of the caller's time, and what a call below may take."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmos_grpc.rpc.typing import Context

MAX_TURN_TIME = timedelta(minutes=2)
# What one hop keeps for itself, so that it can still tell its caller what happened below.
HOP_MARGIN = timedelta(milliseconds=50)
_LEAST = timedelta(milliseconds=1)


def time_left(context: Context, *, limit: timedelta = MAX_TURN_TIME) -> timedelta:
    """What is left of the caller's deadline; a caller without one gets the limit, and nobody gets more."""
    remaining: float | None = context.time_remaining()  # None without a deadline, whatever the stubs say
    return limit if remaining is None else max(_LEAST, min(limit, timedelta(seconds=remaining)))


def child_timeout(left: timedelta) -> timedelta:
    """The time that a call below may take: what is left, less the margin of this hop."""
    return max(_LEAST, left - min(HOP_MARGIN, left / 10))
