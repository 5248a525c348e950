"""Which version and subset of an agent gets a turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos_grpc.domain.card import DEFAULT_SUBSET
from lmos_grpc.domain.channel import VersionPick
from lmos_grpc.domain.version_range import VersionRange, semantic_version
from lmos_grpc.errors import InvalidVersionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from semantic_version import Version

    from lmos_grpc.domain.card import AgentCard
    from lmos_grpc.domain.channel import RequiredCapability
    from lmos_grpc.domain.instance import Agent


class CardRange:
    """A version range; it is about the capability where one is named, else about the agent."""

    def __init__(self, text: str, *, capability: str = "") -> None:
        """Reads the range; empty takes every version.

        Raises:
            InvalidVersionError: the text is not a range.
        """
        self._capability = capability
        try:
            self._versions = VersionRange(text)
        except ValueError as error:
            raise InvalidVersionError(
                f"{text!r} is not an npm-style version range such as ^1.2.0", version_range=text
            ) from error

    @property
    def text(self) -> str:
        """The range as it was written."""
        return self._versions.text

    def takes(self, card: AgentCard) -> bool:
        """Whether the card is in the range."""
        capability = card.capability(self._capability)
        return self._versions.takes(capability.version if capability else card.version)


EVERY_VERSION = CardRange("")


def preferred(agents: Sequence[Agent], *, subset: str) -> Agent | None:
    """Of versions and subsets of one agent: the subset asked for, else the stable one; in it the highest version."""
    for wanted in (subset, DEFAULT_SUBSET):
        fitting = [each for each in agents if each.key.subset == wanted]
        if fitting:
            return max(fitting, key=lambda each: each.key.precedence)
    return None


def picked(versions: Sequence[str], requirement: RequiredCapability) -> str:
    """Of the versions of a capability that are in the range, the one that is to be used.

    The most similar is the nearest to the version that the range names: by major, then minor, then patch number, and
    of two that are equally near the higher.
    """
    if len(set(versions)) == 1:
        return versions[0]
    anchor = requirement.versions.anchor if requirement.pick is VersionPick.MOST_SIMILAR else None
    if anchor is None:
        return max(versions, key=semantic_version)

    def likeness(text: str) -> tuple[int, int, int, Version]:
        version = semantic_version(text)
        return (
            -abs(version.major - anchor.major),
            -abs(version.minor - anchor.minor),
            -abs(version.patch - anchor.patch),
            version,
        )

    return max(versions, key=likeness)
