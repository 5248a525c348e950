"""What Webex tells of a caller."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmos_grpc.channels.speech.g711 import Coding


class Happening(Enum):
    """What can happen beside speech and keys."""

    SESSION_START = "the call begins"
    SESSION_END = "the call is over"
    NO_INPUT = "the caller said nothing in time"
    START_OF_DTMF = "the caller pressed a first key"
    CUSTOM = "something of the flow's own"


@dataclass(frozen=True, slots=True)
class Sound:
    """A piece of what the caller said. `coding` None: as the piece before it in the call; `rate` 0: the same."""

    data: bytes
    coding: Coding | None = None
    rate: int = 0
    single_utterance: bool = False


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys, collected by Webex."""

    digits: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CallerInput:
    """One message of Webex; `given` None: nothing that this side knows."""

    conversation_id: str
    org_id: str = ""
    agent_id: str = ""
    language: str = ""
    given: Sound | Keys | Happening | None = None
