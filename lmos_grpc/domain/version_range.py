"""npm-style version ranges (node-semver), such as `^1.2.0`."""

from __future__ import annotations

from semantic_version import NpmSpec, Version

LONGEST_RANGE = 256


class VersionRange:
    """A range of versions; the empty text takes every version."""

    __slots__ = ("_spec", "text")

    def __init__(self, text: str) -> None:
        """Reads the range.

        Raises:
            ValueError: the text is no range, or longer than `LONGEST_RANGE`.
        """
        self.text = text
        self._spec = _spec(text) if text else None

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
