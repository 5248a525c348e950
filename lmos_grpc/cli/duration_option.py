"""Spans of time as options: `500ms`, `30s`, `2m`, or a plain number of seconds."""

from __future__ import annotations

import re
from datetime import timedelta

import click

_FORM = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)?")
_UNITS = {"ms": timedelta(milliseconds=1), "s": timedelta(seconds=1), "m": timedelta(minutes=1)}


def to_timedelta(
    _context: click.Context | None, _parameter: click.Parameter | None, value: str | None
) -> timedelta | None:
    """The span of time above zero; a callback for an option of click.

    Raises:
        click.BadParameter: it is none.
    """
    if value is None:
        return None
    found = _FORM.fullmatch(value)
    span = float(found[1]) * _UNITS[found[2] or "s"] if found else timedelta(0)
    if not span:
        raise click.BadParameter(f"{value!r} is no span of time above zero; say 500ms, 30s or 2m")
    return span
