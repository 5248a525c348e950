"""What is remembered of a conversation between its turns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from lmos_grpc.domain.event import Clarification, Outcome
    from lmos_grpc.domain.turn import Message


class Durability(Enum):
    """When the log has what a turn says: on the disk before anybody sees it, or soon after."""

    BEFORE_SHOWN = "before-shown"
    BEHIND = "behind"


@dataclass(frozen=True, slots=True)
class TurnKey:
    """What tells one turn from another."""

    tenant: str
    conversation_id: str
    turn_id: str


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A clarification that waits for its answer, and the agent that asked; an empty agent means the mesh."""

    clarification: Clarification
    agent: str = ""
    capability: str = ""


@dataclass(frozen=True, slots=True)
class ConversationState:
    """What routing needs to know of the turns before; the defaults are those of a new conversation."""

    last_agent: str = ""
    last_capability: str = ""
    open_question: OpenQuestion | None = None
    turn_count: int = 0


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation as the log knows it."""

    tenant: str
    conversation_id: str
    channel: str
    created_at: datetime
    updated_at: datetime
    state: ConversationState


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """One turn of a conversation as the log knows it; outcome None means that it runs.

    `capability` is what a turn that was run elsewhere was for; the log keeps it with the conversation only.
    """

    key: TurnKey
    request: Message
    responses: tuple[Message, ...]
    outcome: Outcome | None
    created_at: datetime
    ended_at: datetime | None
    last_sequence: int
    capability: str = ""
