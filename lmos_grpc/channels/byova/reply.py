"""What Webex is told to play and to expect."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from lmos_grpc.domain.live_session import InputSpec

if TYPE_CHECKING:
    from collections.abc import Mapping


class ReplyKind(Enum):
    """What comes after a reply: nothing, more, or more sound of the same answer."""

    FINAL = "final"
    PARTIAL = "partial"
    CHUNK = "chunk"


class ReplyEvent(Enum):
    """What a reply tells beside sound."""

    SESSION_END = "the call ends"
    TRANSFER_TO_AGENT = "the call goes to a person"
    START_OF_INPUT = "the caller began to speak"
    END_OF_INPUT = "the caller ceased to speak"
    NO_MATCH = "the caller was not understood"
    NO_INPUT = "the caller said nothing"


@dataclass(frozen=True, slots=True)
class Reply:
    """One message to Webex. Sound is as it travels, in the caller's own coding."""

    kind: ReplyKind = ReplyKind.FINAL
    text: str = ""
    sound: bytes = b""
    interruptible: bool = True
    event: ReplyEvent | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    expects: InputSpec = field(default_factory=InputSpec)
    summary: str = ""
