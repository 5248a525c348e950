"""One SQLite file per day, built from customer_data.sql when it is first opened."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing, contextmanager, suppress
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SOURCE = Path(__file__).with_name("customer_data.sql")


@contextmanager
def opened(directory: Path, today: date) -> Iterator[sqlite3.Connection]:
    """A transaction on the copy of `today` in `directory`; what was changed on another day is not in it."""
    path = directory / f"customers-{today.isoformat()}.sqlite"
    if not path.exists():
        _build(path, today)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.row_factory = sqlite3.Row
        yield connection


def _build(path: Path, today: date) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        fresh = Path(scratch) / path.name
        with closing(sqlite3.connect(fresh)) as connection:
            connection.create_function("day", 1, lambda days: (today + timedelta(days=days)).isoformat())
            connection.create_function("month", 1, lambda months: _month(today, months).isoformat())
            connection.executescript(_SOURCE.read_text(encoding="utf-8"))
        # Of two agents that build at once the first one wins; a rename would undo what it wrote since.
        with suppress(FileExistsError):
            path.hardlink_to(fresh)


def _month(today: date, months: int) -> date:
    count = today.year * 12 + today.month - 1 + months
    return date(count // 12, count % 12 + 1, 1)
