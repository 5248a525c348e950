"""Two requests in one breath: cut apart only where the parts, for themselves, are clearly surer than the whole is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, combinations
from typing import TYPE_CHECKING

from lmos_grpc.routing.joints import points_back, spoken_cuts, unspoken_cuts
from lmos_grpc.routing.text_features import LONGEST_TEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lmos_grpc.routing.classifier import Score
    from lmos_grpc.routing.joints import Cut
    from lmos_grpc.routing.ranking import Ranking

# All of these are log odds, as is `Cut.ahead`.
_CLEAR = 5.0  # a text that is as sure and has no joint is one request, whatever its parts may say
_SHORT = 1.5  # the less a part says, the less its score means
_POINTING_BACK = 2.0  # what is about "it" is hardly for somebody who has not heard what came before
_EACH_FURTHER = 1.5  # three requests are rarer than two

_FEW_WORDS = 3


@dataclass(frozen=True, slots=True)
class Intent:
    """A part of a text and what it is about."""

    text: str
    score: Score


@dataclass(frozen=True, slots=True)
class _Part:
    text: str
    ranking: Ranking
    log_odds: float

    @property
    def intent(self) -> Intent:
        return Intent(self.text, self.ranking.scores[0])

    def apart_from(self, other: _Part) -> bool:
        """Whether the two are about different things; one agent has both only where neither is a close call."""
        one, two = self.ranking.scores[0].offer, other.ranking.scores[0].offer
        return one != two and (one.agent != two.agent or (self.ranking.distinct and other.ranking.distinct))


def split_intents(text: str, whole: Ranking, rank: Callable[[str], Ranking]) -> tuple[Intent, ...]:
    """The requests in the text, in their order: two or more, or none where it is one request.

    `whole` is the ranking of the whole text. Of all ways to cut it at its joints, that one counts whose parts are
    surest together, if that is by more than the joints need above the whole.
    """
    if len(text) > LONGEST_TEXT or not whole.scores:
        return ()
    breath = _Breath("\n".join(" ".join(line.split()) for line in text.splitlines()), rank)
    spoken = spoken_cuts(breath.text)
    ways = chain.from_iterable(combinations(spoken, count + 1) for count in range(len(spoken)))
    if intents := breath.surest(ways, above=whole.log_odds):
        return intents
    unspoken = unspoken_cuts(breath.text) if whole.log_odds < _CLEAR else ()
    return breath.surest(((each,) for each in unspoken), above=whole.log_odds)


class _Breath:
    """A text, of which each part is ranked once at the most."""

    def __init__(self, text: str, rank: Callable[[str], Ranking]) -> None:
        self.text = text
        self._rank = rank
        self._looked_at: dict[tuple[int, int], _Part | None] = {}

    def surest(self, ways: Iterable[Sequence[Cut]], *, above: float) -> tuple[Intent, ...]:
        found: Sequence[_Part] = ()
        for cuts in ways:
            parts = self._parts(cuts)
            needed = sum(each.ahead for each in cuts) + _EACH_FURTHER * (len(cuts) - 1)
            together = sum(each.log_odds for each in parts) - needed
            if parts and together > above:
                found, above = parts, together
        return tuple(each.intent for each in found)

    def _parts(self, cuts: Sequence[Cut]) -> Sequence[_Part]:
        parts: list[_Part] = []
        starts, ends = (0, *(each.end for each in cuts)), (*(each.start for each in cuts), len(self.text))
        for span in zip(starts, ends, strict=True):
            if span not in self._looked_at:
                self._looked_at[span] = self._part(*span)
            part = self._looked_at[span]
            if part is None or (parts and not part.apart_from(parts[-1])):
                return ()
            parts.append(part)
        return parts

    def _part(self, start: int, end: int) -> _Part | None:
        text = self.text[start:end]
        if not any(map(str.isalpha, text)):
            return None
        ranking = self._rank(text)
        if not ranking.scores or ranking.scores[0].value < ranking.settings.part:
            return None
        short = _SHORT if len(text.split()) <= _FEW_WORDS else 0.0
        back = _POINTING_BACK if start and points_back(text) else 0.0
        return _Part(text, ranking, ranking.log_odds - short - back)
