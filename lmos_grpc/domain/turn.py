"""What a caller asks: a message with its conversation, person and wishes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from lmos_grpc.domain.card import DEFAULT_SUBSET

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from lmos_grpc.domain.live_session import LiveTurn

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
MAX_ID_LENGTH = 128


class Role(Enum):
    """Who speaks."""

    USER = "user"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class TextPart:
    """Plain text, or text of another media type."""

    text: str
    media_type: str = "text/plain"


@dataclass(frozen=True, slots=True)
class DataPart:
    """Structured data: JSON values only."""

    data: Mapping[str, Any]  # Any: JSON values
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file by reference; its bytes never travel through the mesh."""

    uri: str
    name: str = ""
    media_type: str = ""
    size_bytes: int = 0


Part = TextPart | DataPart | FilePart


@dataclass(frozen=True, slots=True)
class Message:
    """What one side says, in one or more parts."""

    role: Role
    parts: tuple[Part, ...]
    agent: str = ""
    turn_id: str = ""
    created_at: datetime | None = None
    interrupted: bool = False

    @property
    def text(self) -> str:
        """All text parts, one after the other, separated by line ends."""
        return "\n".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def empty(self) -> bool:
        """Whether it says nothing: no part at all, or only blank text."""
        return not any(not isinstance(part, TextPart) or part.text.strip() for part in self.parts)

    @classmethod
    def from_user(cls, text: str) -> Message:
        """A message of the user with one text part."""
        return cls(Role.USER, (TextPart(text),))


class StrategyKind(Enum):
    """How a turn is spread over agents, and which answers count; the contract says what each of them means."""

    UNSPECIFIED = "unspecified"
    ONE = "one"
    ALL = "all"
    FIRST = "first"
    QUORUM = "quorum"
    BEST = "best"


class Lane(Enum):
    """The path that the tokens of a turn take."""

    UNSPECIFIED = "unspecified"
    EXPRESS = "express"
    MANAGED = "managed"


# With these the answers that are wanted are fewer than the agents that may be asked, so that more can be asked later.
HEDGED = (StrategyKind.ONE, StrategyKind.FIRST, StrategyKind.QUORUM)


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy with its limits; None means no limit of its own.

    `quorum` is 0 but for QUORUM. `hedge_delay` is for ONE, FIRST and QUORUM, and where the mesh picks.
    """

    kind: StrategyKind = StrategyKind.UNSPECIFIED
    quorum: int = 0
    max_branches: int = 8
    branch_budget: timedelta | None = None
    hedge_delay: timedelta | None = None
    turn_budget: timedelta | None = None

    @property
    def at_once(self) -> int:
        """How many branches begin at once; the others as one of them is slow or fails."""
        if self.hedge_delay is None:
            return self.max_branches
        return self.quorum if self.kind is StrategyKind.QUORUM else 1

    def in_force(self, kind: StrategyKind) -> Strategy:
        """The strategy as it is once a kind was picked: without what means nothing to it."""
        return replace(
            self,
            kind=kind,
            quorum=self.quorum if kind is StrategyKind.QUORUM else 0,
            hedge_delay=self.hedge_delay if kind in HEDGED else None,
        )

    def or_else(self, default: Strategy) -> Strategy:
        """The strategy with what was left open filled in from another one."""
        kind, quorum = self.kind, self.quorum
        if kind is StrategyKind.UNSPECIFIED:
            kind, quorum = default.kind, default.quorum
        return replace(
            self,
            kind=kind,
            quorum=quorum,
            max_branches=max(self.max_branches, quorum),
            branch_budget=default.branch_budget if self.branch_budget is None else self.branch_budget,
            hedge_delay=default.hedge_delay if self.hedge_delay is None else self.hedge_delay,
            turn_budget=default.turn_budget if self.turn_budget is None else self.turn_budget,
        )


@dataclass(frozen=True, slots=True)
class RouteHint:
    """What the caller wants of the routing. Everything is optional."""

    agent: str = ""
    capability: str = ""
    version_range: str = ""
    strategy: Strategy = field(default_factory=Strategy)
    lane: Lane = Lane.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class User:
    """The person that a turn is for."""

    id: str = ""
    locale: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClarificationAnswer:
    """The choice of an option of a clarification; an empty option means that the message holds the answer."""

    clarification_id: str
    option_id: str = ""


@dataclass(frozen=True, slots=True)
class CallContext:
    """For whom a call is, and where the turn has been: what travels as metadata."""

    tenant: str = "default"
    channel: str = "web"
    subset: str = ""
    visited: tuple[str, ...] = ()
    # By which it came to the agent; not passed on.
    lane: Lane = Lane.UNSPECIFIED
    # Whether who asks may know of the agents of other tenants; not passed on.
    operator: bool = False

    @property
    def wanted_subset(self) -> str:
        """The subset asked for, or the default one."""
        return self.subset or DEFAULT_SUBSET


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """One turn, as the caller asked for it. What is sensitive goes to one agent, and is kept nowhere."""

    message: Message
    conversation_id: str = ""
    turn_id: str = ""
    history: tuple[Message, ...] = ()
    hint: RouteHint = field(default_factory=RouteHint)
    user: User = field(default_factory=User)
    answer: ClarificationAnswer | None = None
    context: CallContext = field(default_factory=CallContext)
    sensitive: bool = False
    live: LiveTurn | None = None
