"""A classifier that scores as it is told: by text, and by capability."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos_grpc.routing import Offer, Score

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmos_grpc.domain.card import AgentCard, AgentKey


class ScriptedClassifier:
    """Knows the scores of some texts; everything else scores 0.1."""

    name = "scripted"

    def __init__(self, script: Mapping[str, Mapping[str, float]] | None = None) -> None:
        self._script = script or {}
        self._cards: dict[AgentKey, AgentCard] = {}
        self.asked: list[frozenset[Offer]] = []

    def sync(self, changed: Mapping[AgentKey, AgentCard | None]) -> None:
        for key, card in changed.items():
            self._cards.pop(key, None)
            if card is not None:
                self._cards[key] = card

    def rank(self, text: str, locale: str, candidates: frozenset[Offer]) -> tuple[Score, ...]:  # noqa: ARG002 - one script for all
        self.asked.append(candidates)
        told = self._script.get(text, {})
        known = {offer for card in self._cards.values() for offer in Offer.of(card)}
        scores = (Score(offer, told.get(offer.capability, 0.1)) for offer in candidates & known)
        return tuple(sorted(scores, key=lambda each: (-each.value, each.offer)))[:16]
