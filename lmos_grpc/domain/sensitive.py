"""What is kept in place of what must not be kept, such as the number of a card."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from lmos_grpc.domain.turn import TextPart

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lmos_grpc.domain.turn import Message, TurnRequest

WITHHELD = "[withheld]"
_DOT = "•"
_WORD = re.compile(r"\w+")


def withheld(message: Message) -> Message:
    """The message without what it says."""
    return replace(message, parts=(TextPart(WITHHELD),))


def turn_to_keep(turn: TurnRequest) -> TurnRequest:
    """The turn as a log may have it."""
    return replace(turn, message=withheld(turn.message), live=None) if turn.sensitive else turn


def masked(text: str, secret: str) -> str:
    """The text without its digits, and without the words of the secret: an answer may repeat what it was told."""
    words = {word.casefold() for word in _WORD.findall(secret)}

    def mask(found: re.Match[str]) -> str:
        word = found.group()
        return _DOT * len(word) if word.casefold() in words else re.sub(r"\d", _DOT, word)

    return _WORD.sub(mask, text)


def masked_messages(messages: Iterable[Message], secret: str) -> tuple[Message, ...]:
    """The messages with their texts masked, and nothing else in them."""
    return tuple(replace(each, parts=(TextPart(masked(each.text, secret)),)) for each in messages)
