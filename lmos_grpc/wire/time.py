"""Durations and timestamps on the wire."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING, overload

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

if TYPE_CHECKING:
    from datetime import datetime

    from google.protobuf.message import Message


@overload
def to_duration(span: timedelta) -> Duration: ...


@overload
def to_duration(span: None) -> None: ...


@overload
def to_duration(span: timedelta | None) -> Duration | None: ...


def to_duration(span: timedelta | None) -> Duration | None:
    """The duration on the wire; None stays absent."""
    if span is None:
        return None
    duration = Duration()
    duration.FromTimedelta(span)
    return duration


# The range of google.protobuf.Duration. What is beyond it is no duration, and counts as the longest one.
_LONGEST_SECONDS = 315_576_000_000


def duration_of(message: Message, field: str) -> timedelta | None:
    """The duration in a field of a message; None where it is absent."""
    if not message.HasField(field):
        return None
    duration: Duration = getattr(message, field)
    seconds = max(-_LONGEST_SECONDS, min(duration.seconds, _LONGEST_SECONDS))
    return timedelta(seconds=seconds, microseconds=duration.nanos // 1_000)


def to_timestamp(moment: datetime | None) -> Timestamp | None:
    """The timestamp on the wire; None stays absent."""
    if moment is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp


def moment_of(message: Message, field: str) -> datetime | None:
    """The timestamp in a field of a message; None where it is absent."""
    if not message.HasField(field):
        return None
    timestamp: Timestamp = getattr(message, field)
    return timestamp.ToDatetime(tzinfo=UTC)
