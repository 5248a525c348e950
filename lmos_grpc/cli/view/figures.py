"""How spans of time, points in time and numbers of things are written."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_MILLISECOND = timedelta(milliseconds=1)
_SECOND = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)
_TEN = 10


def span_text(span: timedelta) -> str:
    """A span of time in three figures or so: `0.42 ms`, `12.3 ms`, `1.52 s`, `2 min 5 s`."""
    if span < _SECOND:
        milliseconds = span / _MILLISECOND
        return f"{milliseconds:.2f} ms" if milliseconds < _TEN else f"{milliseconds:.1f} ms"
    if span < _MINUTE:
        return f"{span / _SECOND:.2f} s"
    minutes, rest = divmod(span, _MINUTE)
    return f"{minutes} min {rest // _SECOND} s"


def ago_text(moment: datetime, now: datetime) -> str:
    """How long ago something was: `3 s ago`, `5 min ago`, `2 h ago`, `4 d ago`."""
    seconds = max(0, int((now - moment).total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def counted(count: int, noun: str) -> str:
    """A number of things: `1 agent`, `3 agents`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
