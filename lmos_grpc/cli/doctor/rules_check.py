"""Checks of the rules: are the files sound, and does the mesh that runs keep to them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lmos_grpc.cli.doctor.finding import fault, ok, warning
from lmos_grpc.cli.mesh.rules_note import read_rules_note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmos_grpc.cli.doctor.finding import Finding
    from lmos_grpc.cli.settings import Settings

_CHECK = "rules"
_REMEDY = "`lmos check FILE` tells all that is wrong with it; the mesh takes it as soon as it is mended"


def check_rules(settings: Settings) -> Iterator[Finding]:
    """Nothing where no rules are set; else what the mesh that runs says, or where none runs the files themselves."""
    note = read_rules_note(settings.mesh.state)
    if note:
        since = note.since.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        if note.problems:
            yield warning(_CHECK, f"the mesh keeps to those of {since} ({note.summary}): {note.problems[0]}", _REMEDY)
        else:
            yield ok(_CHECK, f"in force since {since}: {note.summary}")
    elif settings.rules:
        from lmos_grpc.declarations import read_rules  # noqa: PLC0415 - takes a while, and most have no rules

        reading = read_rules([Path(each) for each in settings.rules])
        if reading.problems:
            yield fault(_CHECK, str(reading.problems[0]), "`lmos check` tells all that is wrong with the files")
        else:
            yield ok(_CHECK, f"sound: {reading.summary}")
