"""The clock of a turn log, unless a test brings its own."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The time of the machine."""
    return datetime.now(UTC)
