"""The two interfaces behind which speech engines stand, and what they are given and give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Heard:
    """What a recogniser made of an utterance; empty text means that it made nothing of it.

    `complete`: the words are a whole phrase, so that there is no need to wait for more of them.
    """

    text: str = ""
    complete: bool = False
    confidence: float | None = None

    def __repr__(self) -> str:
        """Without the words: representations end up in logs."""
        return f"Heard(complete={self.complete}, confidence={self.confidence})"


class Recogniser(Protocol):
    """Makes words of speech."""

    async def recognise(self, pcm: bytes, *, locale: str, hints: Sequence[str]) -> Heard:
        """What is said in the audio, likely one of the hints. Called again with more audio when the caller goes on.

        Raises:
            ModelUnavailableError: the engine failed, or is not there.
        """


class Synthesiser(Protocol):
    """Makes speech of words."""

    async def synthesise(self, text: str, *, locale: str) -> bytes:
        """The text as audio.

        Raises:
            ModelUnavailableError: the engine failed, or is not there.
        """
