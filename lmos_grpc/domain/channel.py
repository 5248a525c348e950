"""A channel as its operator declares it: what may be reached over it, and how its turns are routed."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from lmos_grpc.domain.card import DEFAULT_SUBSET
from lmos_grpc.domain.turn import Lane, StrategyKind
from lmos_grpc.domain.version_range import VersionRange

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from lmos_grpc.domain.card import AgentCard, Capability


class VersionPick(Enum):
    """Which of several versions of a capability is used."""

    HIGHEST = "highest"
    MOST_SIMILAR = "most similar"


@dataclass(frozen=True, slots=True)
class RequiredCapability:
    """A capability, by its id or its name, in a range of versions."""

    name: str
    versions: VersionRange = field(default_factory=lambda: VersionRange(""))
    pick: VersionPick = VersionPick.HIGHEST

    def names(self, capability: Capability) -> bool:
        """Whether it is this capability, in whichever version."""
        return self.name in {capability.id, capability.name}

    def takes(self, capability: Capability) -> bool:
        """Whether it is this capability, in a version of the range."""
        return self.names(capability) and self.versions.takes(capability.version)

    def __str__(self) -> str:
        return f"{self.name} {self.versions.text}".strip()


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What it takes to get a turn; None leaves a threshold as the mesh has it."""

    accept: float | None = None
    part: float | None = None
    clear_odds: float | None = None
    shift: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One channel of some tenants (empty: of all).

    Attributes:
        name: the name of the declaration; `channel` is what callers write into `x-lmos-channel`.
        subset: the subset of the channel's turns, where neither a weight nor the caller says another.
        required: what may be reached over the channel; None: all that agents offer it.
        strict: whether nothing at all may be reached until all that is required is there.
        weights: how the conversations are shared out over subsets; empty: all fall to `subset`.
        fallback_agent: takes the turns that nothing fits; empty: the mesh's own fallback.
        fallback_texts: what the mesh says, by language, where nobody takes a turn; empty: its own words.
        strategy: how turns are spread whose callers do not say; UNSPECIFIED: as the text asks for.
        lane: the lane of turns whose callers do not say, or MANAGED for all; UNSPECIFIED: the cheaper one.
        durable: whether an event is on disk before it is shown; None: as the mesh does it.
        turn_budget: the time that an agent may take for a turn; None: no limit of the channel's own.
        may_hand_over: whether an agent may give a turn on to another.
        where: the place of the declaration, such as `channels.yaml:3`.
    """

    name: str
    channel: str
    tenants: frozenset[str] = frozenset()
    subset: str = DEFAULT_SUBSET
    required: tuple[RequiredCapability, ...] | None = None
    strict: bool = False
    weights: Mapping[str, int] = field(default_factory=dict)
    fallback_agent: str = ""
    fallback_texts: Mapping[str, str] = field(default_factory=dict)
    strategy: StrategyKind = StrategyKind.UNSPECIFIED
    thresholds: Thresholds = field(default_factory=Thresholds)
    lane: Lane = Lane.UNSPECIFIED
    durable: bool | None = None
    turn_budget: timedelta | None = None
    may_hand_over: bool = True
    where: str = ""
    # Asked for each agent that gets a turn, of as many requirements as there are capabilities in the mesh.
    _by_name: Mapping[str, tuple[RequiredCapability, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Sorts the requirements by what they name."""
        by_name: dict[str, tuple[RequiredCapability, ...]] = {}
        for wish in self.required or ():
            by_name[wish.name] = (*by_name.get(wish.name, ()), wish)
        object.__setattr__(self, "_by_name", by_name)

    def permitted(self, card: AgentCard) -> frozenset[str]:
        """The ids of those capabilities of a card that may be reached over the channel."""
        return frozenset(each.id for each in card.capabilities if self.required is None or self._takes(each))

    def _takes(self, capability: Capability) -> bool:
        wishes = (*self._by_name.get(capability.id, ()), *self._by_name.get(capability.name, ()))
        return any(wish.takes(capability) for wish in wishes)
