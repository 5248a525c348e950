"""Ranges as Apache Ivy writes them, which Eclipse LMOS takes beside those of npm."""

from __future__ import annotations

import re

_INTERVAL = re.compile(r"([\[\](])\s*([^,\s]*)\s*,\s*([^,\s]*)\s*([\[\])])")
_NUMBERS = 3


def npm_range(text: str) -> str:
    """The range as npm writes it; what is no range of Ivy comes back as it is.

    See "Version Matchers" in the reference of Apache Ivy: `[1.0,2.0]`, `[1.0,2.0[`, `]1.0,)`, `1.+`, `latest.release`.
    """
    stripped = text.strip()
    if stripped.startswith("latest."):
        return "*"
    if stripped.endswith("+"):
        return f"{stripped[:-1].rstrip('.')}.x".lstrip(".")
    found = _INTERVAL.fullmatch(stripped)
    if found is None:
        return stripped
    opens, low, high, closes = found.groups()
    lower = f"{'>=' if opens == '[' else '>'}{_whole(low)}" if low else ""
    upper = f"{'<=' if closes == ']' else '<'}{_whole(high)}" if high and high != ")" else ""
    return f"{lower} {upper}".strip() or "*"


def _whole(version: str) -> str:
    # npm would read "<=2.0" as "<2.1.0", which Ivy does not.
    numbers = version.split(".")
    return ".".join((*numbers, *("0" for _ in range(_NUMBERS - len(numbers)))))
