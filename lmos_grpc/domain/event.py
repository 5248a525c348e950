"""What happens while an agent works on a turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from lmos_grpc.domain.live_session import (
    Custom,
    GoAway,
    InputSpec,
    Pong,
    Prompt,
    Recording,
    SessionEnded,
    SessionReady,
    Transfer,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from lmos_grpc.domain.decision import Decision
    from lmos_grpc.domain.failure import FailureDetail
    from lmos_grpc.domain.turn import Message


class Outcome(Enum):
    """How a turn ended."""

    COMPLETED = "completed"
    PARTIAL = "partial"
    INPUT_REQUIRED = "input required"
    HANDED_OVER = "handed over"
    ABSTAINED = "abstained"
    CANCELLED = "cancelled"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    TRANSFERRED = "transferred"
    SESSION_ENDED = "session ended"
    UNSEEN = "unseen"


class ToolCallState(Enum):
    """The state of a tool call."""

    STARTED = "started"
    COMPLETED = "completed"
    FAILED = "failed"
    REQUESTED = "requested"


@dataclass(frozen=True, slots=True)
class Source:
    """Where an event comes from; branch 0 means that the turn was not fanned out."""

    agent: str = ""
    version: str = ""
    capability: str = ""
    branch: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """The turn was taken on. Always the first."""

    conversation_id: str = ""


@dataclass(frozen=True, slots=True)
class Routed:
    """Who gets the turn, and why."""

    decision: Decision


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer; never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class MessageDone:
    """A finished message; where deltas came before it, it repeats their text as a whole."""

    message: Message


@dataclass(frozen=True, slots=True)
class Status:
    """What the agent is doing; progress from 0 to 1, None where it cannot be said."""

    text: str
    progress: float | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool at work."""

    id: str
    name: str
    state: ToolCallState
    arguments: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON values
    result: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON values


@dataclass(frozen=True, slots=True)
class ClarificationOption:
    """One possible answer to a clarification."""

    id: str
    label: str
    agent: str = ""
    capability: str = ""
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Clarification:
    """A question that the caller has to answer first; no options means free text."""

    id: str
    question: str
    options: tuple[ClarificationOption, ...] = ()


@dataclass(frozen=True, slots=True)
class Handover:
    """The turn goes to another agent, to any with a capability, or (both empty) is routed anew."""

    agent: str = ""
    capability: str = ""
    reason: str = ""
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a turn or a model call used up; cost in millionths of the currency unit."""

    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_micros: int = 0
    currency: str = ""
    elapsed: timedelta | None = None
    time_to_first_token: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Something failed; where it ended the turn, `TurnDone` follows."""

    detail: FailureDetail


@dataclass(frozen=True, slots=True)
class BranchOutcome:
    """How one branch of a fan-out ended."""

    source: Source
    outcome: Outcome
    error: FailureDetail | None = None


@dataclass(frozen=True, slots=True)
class TurnDone:
    """The turn is over. Always the last, exactly once."""

    outcome: Outcome
    usage: Usage = field(default_factory=Usage)
    branches: tuple[BranchOutcome, ...] = ()


@dataclass(frozen=True, slots=True)
class Unread:
    """A kind of event that this reader does not look into; `kind` is the member's name, `payload` the wire's own."""

    kind: str
    payload: object


EventBody = (
    Accepted
    | Routed
    | TextDelta
    | MessageDone
    | Status
    | ToolCall
    | Clarification
    | Handover
    | Usage
    | Failure
    | TurnDone
    | SessionReady
    | Prompt
    | InputSpec
    | Transfer
    | Recording
    | Pong
    | GoAway
    | SessionEnded
    | Custom
    | Unread
)


@dataclass(frozen=True, slots=True)
class AgentEvent:
    """One event of a turn; `sequence` is dense and ascending from 1."""

    sequence: int
    turn_id: str
    body: EventBody
    source: Source = field(default_factory=Source)
