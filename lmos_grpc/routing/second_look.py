"""Cheap first: a classifier that asks a better and dearer one only where the cheap one is not sure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmos_grpc.domain.card import AgentCard, AgentKey
    from lmos_grpc.routing.classifier import Classifier, Offer, Score

_SURE = 0.97
_FAR_BEHIND = 0.5


class SecondLook:
    """Ranks with the first classifier, and again with the second where no offer is clear."""

    def __init__(self, first: Classifier, second: Classifier) -> None:
        self._first = first
        self._second = second

    @property
    def name(self) -> str:
        """Both names, in the order in which they are asked."""
        return f"{self._first.name}, {self._second.name}"

    def sync(self, changed: Mapping[AgentKey, AgentCard | None]) -> None:
        """Tells both."""
        self._first.sync(changed)
        self._second.sync(changed)

    def rank(self, text: str, locale: str, candidates: frozenset[Offer]) -> tuple[Score, ...]:
        """The ranking of the first where it is sure, else that of the second, where that knows the candidates too."""
        scores = self._first.rank(text, locale, candidates)
        if not scores or _is_clear(scores):
            return scores
        second = self._second.rank(text, locale, candidates)
        return second if len(second) >= len(scores) else scores


def _is_clear(scores: tuple[Score, ...]) -> bool:
    best, *others = scores
    behind = (each.value for each in others if each.offer.agent != best.offer.agent)
    return best.value >= _SURE and next(behind, 0.0) < _FAR_BEHIND
