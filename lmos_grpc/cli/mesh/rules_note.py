"""Which rules a running mesh keeps to: it leaves a note in its state directory, for `lmos doctor`."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOTE = "rules.json"


@dataclass(frozen=True, slots=True)
class RulesNote:
    """What is in force, since when, and what is wrong with the files that are not."""

    summary: str
    since: datetime
    problems: tuple[str, ...] = ()


@contextmanager
def noted_rules(state: Path) -> Iterator[Callable[[RulesNote], None]]:
    """Gives what writes the note, which is there until the block ends."""
    note = state / NOTE

    def write(said: RulesNote) -> None:
        # In one step: `lmos doctor` may look at any time.
        new = note.with_suffix(".new")
        new.write_text(json.dumps({**asdict(said), "since": said.since.isoformat()}), "utf-8")
        new.replace(note)

    try:
        yield write
    finally:
        note.unlink(missing_ok=True)


def read_rules_note(state: Path) -> RulesNote | None:
    """What a mesh noted there; None where none did, or the note cannot be read."""
    try:
        noted = json.loads((state / NOTE).read_text("utf-8"))
        since = datetime.fromisoformat(noted["since"])
        return RulesNote(str(noted["summary"]), since, tuple(map(str, noted["problems"])))
    except (OSError, ValueError, TypeError, KeyError):
        return None
