"""Two requests in one breath: cut apart only where each part, for itself, clearly is about something else."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lmos_grpc.routing.text_features import LONGEST_TEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmos_grpc.routing.classifier import Score
    from lmos_grpc.routing.ranking import Ranking

_JOINT = r"(?:and|also|then|plus|as well as|und|auch|dann|sowie|außerdem|ausserdem)\b,?\s*"
_CUT = re.compile(rf"(?:(?<=[.?!;]) |\n)(?:{_JOINT})*|,? (?:{_JOINT})+", re.IGNORECASE)
_MOST_PARTS = 8
_FEWEST_WORDS = 2


@dataclass(frozen=True, slots=True)
class Intent:
    """A part of a text and what it is about."""

    text: str
    score: Score


@dataclass(frozen=True, slots=True)
class _Span:
    start: int
    end: int
    score: Score | None
    distinct: bool = False

    def same_topic(self, other: _Span) -> bool:
        """Whether the two stay together: one is about nothing, or one agent has both and they are not clearly two."""
        if self.score is None or other.score is None or self.score.offer == other.score.offer:
            return True
        return self.score.offer.agent == other.score.offer.agent and not (self.distinct and other.distinct)


def split_intents(text: str, rank: Callable[[str], Ranking]) -> tuple[Intent, ...]:
    """The requests in the text, in their order: two or more, or none where it is one request."""
    squashed = "\n".join(" ".join(line.split()) for line in text[: LONGEST_TEXT + 1].splitlines())
    cuts = list(_CUT.finditer(squashed))[: _MOST_PARTS - 1]
    if not cuts or len(text) > LONGEST_TEXT:
        return ()
    starts, ends = (0, *(cut.end() for cut in cuts)), (*(cut.start() for cut in cuts), len(squashed))
    spans = _joined(_classified(squashed, start, end, rank) for start, end in zip(starts, ends, strict=True))
    intents = tuple(Intent(squashed[each.start : each.end], each.score) for each in spans if each.score)
    return intents if len(intents) == len(spans) > 1 else ()


def _classified(text: str, start: int, end: int, rank: Callable[[str], Ranking]) -> _Span:
    part = text[start:end]
    if len(part.split()) < _FEWEST_WORDS:
        return _Span(start, end, None)
    ranking = rank(part)
    best = ranking.best
    clear = best is not None and best.value >= ranking.settings.part and len(ranking.rivals) == 1
    return _Span(start, end, best if clear else None, distinct=ranking.distinct)


def _joined(spans: Iterator[_Span]) -> list[_Span]:
    joined: list[_Span] = []
    for span in spans:
        if joined and joined[-1].same_topic(span):
            known = joined[-1] if joined[-1].score else replace(span, start=joined[-1].start)
            joined[-1] = replace(known, end=span.end)
        else:
            joined.append(span)
    return joined
