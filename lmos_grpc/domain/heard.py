"""What of an answer the history keeps, when the caller heard only a part of it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.domain.turn import TextPart

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lmos_grpc.domain.live_session import HeardAnswer
    from lmos_grpc.domain.turn import Message

_WORD = re.compile(r"\S+")


def as_heard(said: Iterable[Message], heard: HeardAnswer) -> tuple[Message, ...]:
    """The messages of a turn as they were heard, in their order; what was not heard at all is not among them.

    Counted in words, because what is spoken differs from what is written in its marks. Where only the length of what
    was heard is known, the text stays.
    """
    if not heard.interrupted:
        return tuple(said)
    if not heard.text:
        unknown = heard.played is None or heard.played > timedelta(0)
        return tuple(replace(each, interrupted=True) for each in said) if unknown else ()
    left, kept = len(heard.text.split()), []
    for message in said:
        ends = [word.end() for word in _WORD.finditer(message.text)]
        if left <= 0:
            break
        if left >= len(ends):
            kept.append(message)
        else:
            kept.append(replace(message, parts=(TextPart(message.text[: ends[left - 1]]),), interrupted=True))
        left -= len(ends)
    return tuple(kept)
