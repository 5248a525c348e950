"""Who gets a turn, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING

from lmos_grpc.domain.card import DEFAULT_SUBSET, AgentKey
from lmos_grpc.domain.turn import Lane, Strategy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmos_grpc.domain.turn import ClarificationAnswer


class DecisionMode(Enum):
    """How a decision came about."""

    EXPLICIT = "explicit"
    CONVERSATION = "conversation"
    CLASSIFIED = "classified"
    CLARIFICATION = "clarification"
    FALLBACK = "fallback"
    ABSTAINED = "abstained"


class Exclusion(Enum):
    """What kept a candidate out."""

    NONE = "none"
    NOT_READY = "not ready"
    TENANT = "tenant"
    CHANNEL = "channel"
    CAPABILITY = "capability"
    VERSION = "version"
    SUBSET = "subset"
    VISITED = "visited"
    LOCALE = "locale"
    NOT_REGISTERED = "not registered"
    NOT_CHOSEN = "not chosen"


@dataclass(frozen=True, slots=True)
class Target:
    """One agent that gets a turn; `text` is the part of the message that is for it, empty for all of it."""

    agent: str
    version: str
    subset: str = DEFAULT_SUBSET
    capability: str = ""
    text: str = ""

    @property
    def key(self) -> AgentKey:
        """The agent that it leads to."""
        return AgentKey(self.agent, self.version, self.subset)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One agent and capability that was considered, with its score from 0 to 1."""

    agent: str
    version: str
    capability: str
    subset: str = DEFAULT_SUBSET
    score: float = 0.0
    chosen: bool = False
    exclusion: Exclusion = Exclusion.NONE
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Governance:
    """What the rules made of a turn before anything looked at its text.

    Attributes:
        channel: the name of the declaration whose rules were applied; empty: none is about the channel.
        subset: the subset that the turn falls to.
        allowed: how many agents may have it.
        excluded: how many may not, by what keeps them out.
        unresolved: what the channel requires and cannot have, and why, a sentence each.
    """

    channel: str = ""
    subset: str = DEFAULT_SUBSET
    allowed: int = 0
    excluded: Mapping[Exclusion, int] = field(default_factory=dict)
    unresolved: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """Who gets a turn, and the whole story of how that came about.

    `answer` is the open question that the turn was found to answer, for the agents that get it. `abstention` is what
    the mesh says where nobody gets the turn (empty: its own words), and `locale` the language that the rules assume
    of a user who named none. The three do not travel.
    """

    mode: DecisionMode
    reason: str
    targets: tuple[Target, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    strategy: Strategy = field(default_factory=Strategy)
    lane: Lane = Lane.MANAGED
    classifier: str = ""
    elapsed: timedelta = timedelta(0)
    answer: ClarificationAnswer | None = None
    governance: Governance | None = None
    abstention: str = ""
    locale: str = ""
