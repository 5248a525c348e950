"""The telephone's side of a call, whatever brings it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass(frozen=True, slots=True)
class Key:
    """A key that the caller pressed."""

    key: str

    def __repr__(self) -> str:
        """Without the key: representations end up in logs."""
        return "Key()"


class CallLeg(Protocol):
    """One call. Sound goes both ways in frames of 20 ms."""

    @property
    def call_id(self) -> str:
        """The call, as the telephone system names it."""

    def heard(self) -> AsyncIterator[bytes | Key]:
        """Frames and keys of the caller, until the caller hangs up."""

    def play(self, frame: bytes) -> None:
        """Plays a frame now."""

    async def hang_up(self) -> None:
        """Gives the call back to the telephone system."""


class CallEnd(Enum):
    """How a call ended."""

    CALLER_HUNG_UP = "the caller hung up"
    HUNG_UP = "the mesh ended the call"
    TRANSFERRED = "the call goes on elsewhere"
    GAVE_UP = "nobody answered, on this side or on the other"


@dataclass(frozen=True, slots=True)
class CallResult:
    """How a call ended, and where it goes on, if it does."""

    end: CallEnd
    target: str = ""
    summary: str = ""
