"""npm-style version ranges (node-semver), such as `^1.2.0`."""

from __future__ import annotations

import re

from semantic_version import NpmSpec, Version

LONGEST_RANGE = 256
_NAMED = re.compile(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?")


class VersionRange:
    """A range of versions; the empty text takes every version. Two with the same text are equal."""

    __slots__ = ("_spec", "text")

    def __init__(self, text: str) -> None:
        """Reads the range.

        Raises:
            ValueError: the text is no range, or longer than `LONGEST_RANGE`.
        """
        self.text = text
        self._spec = _spec(text) if text else None

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
        return self._spec is None or bool(self._spec.match(Version(version)))


def _spec(text: str) -> NpmSpec:
    if len(text) > LONGEST_RANGE:
        raise ValueError(f"a version range has at most {LONGEST_RANGE} characters")
    try:
        return NpmSpec(text)
    except AttributeError as error:  # what NpmSpec raises for "^1.2 - 3" (python-semanticversion 2.10)
        raise ValueError(f"{text!r} is not an npm-style range") from error
