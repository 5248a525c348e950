"""npm-style version ranges (node-semver), such as `^1.2.0`."""

from __future__ import annotations

import re
from functools import lru_cache

from semantic_version import NpmSpec, Version

LONGEST_RANGE = 256
_MOST_VERSIONS = 10_000
_MOST_RANGES = 1_000
_NAMED = re.compile(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?")


class VersionRange:
    """A range of versions; the empty text takes every version. Two with the same text are equal."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        """Reads the range.

        Raises:
            ValueError: the text is no range, or longer than `LONGEST_RANGE`.
        """
        self.text = text
        if text:
            _spec(text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VersionRange) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"VersionRange({self.text!r})"

    @property
    def anchor(self) -> Version | None:
        """The first version that the range names, with 0 for what it leaves out; None where it names none."""
        named = _NAMED.search(self.text)
        return Version(".".join(part or "0" for part in named.groups())) if named else None

    def takes(self, version: str) -> bool:
        """Whether a semantic version is in the range."""
        return not self.text or _matches(self.text, version)


@lru_cache(_MOST_VERSIONS)
def semantic_version(text: str) -> Version:
    """The version that the text is; ValueError: it is none. Parsing takes longer than all that is done with it."""
    return Version(text)


@lru_cache(_MOST_RANGES)
def _spec(text: str) -> NpmSpec:
    if len(text) > LONGEST_RANGE:
        raise ValueError(f"a version range has at most {LONGEST_RANGE} characters")
    try:
        return NpmSpec(text)
    except AttributeError as error:  # what NpmSpec raises for "^1.2 - 3" (python-semanticversion 2.10)
        raise ValueError(f"{text!r} is not an npm-style range") from error


@lru_cache(_MOST_VERSIONS)
def _matches(text: str, version: str) -> bool:
    return bool(_spec(text).match(semantic_version(version)))
