"""The default classifier: word vectors for meaning, hashed words and letters for every language, all offline."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lmos_grpc.routing.classifier import Offer, Score
from lmos_grpc.routing.offer_table import OfferTable
from lmos_grpc.routing.phrase_set import PhraseSet, phrases_of
from lmos_grpc.routing.text_features import FEATURES, LONGEST_TEXT, features
from lmos_grpc.routing.word_vectors import load_word_vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmos_grpc.domain.card import AgentCard, AgentKey
    from lmos_grpc.routing.text_features import Floats, Ids
    from lmos_grpc.routing.word_vectors import WordVectors

_SHORTLIST = 16
_MEANING = 0.5  # the share of the word vectors; the rest is that of words and letters
_MIDPOINT = 0.25  # the likeness that scores 0.5
_STEEPNESS = 14.0
_MOST_SELECTIONS = 256


class _Query(NamedTuple):
    direction: Floats
    ids: Ids
    weights: Floats  # with the rarity of each feature, squared, in it; as long as `direction` is
    rarity: Floats


class LexicalEmbeddingClassifier:
    """Compares a text with all phrases of an offer together, and with the nearest phrase alone.

    What all phrases have in common tells intents apart; the nearest phrase tells what is out of scope. The mean of the
    two hardly depends on how many phrases there are, so one logistic curve turns it into a score.
    """

    name = "lexical-embedding"

    def __init__(self, load: Callable[[], WordVectors] = load_word_vectors) -> None:
        self._load = load
        self._table = OfferTable()
        self._offers: dict[AgentKey, tuple[Offer, ...]] = {}
        self._selections: dict[frozenset[Offer], tuple[list[Offer], Ids]] = {}

    def sync(self, changed: Mapping[AgentKey, AgentCard | None]) -> None:
        """Takes in cards at the cost of what changed; the next `rank` makes one pass over the matrices."""
        for key, card in changed.items():
            for offer in self._offers.pop(key, ()):
                self._table.remove(offer)
            if card is not None:
                self._offers[key] = Offer.of(card)
                for offer, capability in zip(self._offers[key], card.capabilities, strict=True):
                    self._table.add(offer, PhraseSet.of(phrases_of(card, capability), self._load()))
        self._selections.clear()

    def rank(self, text: str, locale: str, candidates: frozenset[Offer]) -> tuple[Score, ...]:  # noqa: ARG002 - the phrases bring their language
        """The sixteen best of the candidates, the best first."""
        offers, rows = self._selection(candidates)
        if not offers:
            return ()
        query = self._query(text)
        by_meaning, by_feature = self._table.likeness(query.direction, query.ids, query.weights)
        together = _blend(by_meaning, by_feature)[rows]
        shortlist = np.argsort(-together.round(6), kind="stable")[:_SHORTLIST]
        scores = (self._score(offers[at], float(together[at]), query) for at in shortlist)
        return tuple(sorted(scores, key=lambda each: (-each.value, each.offer)))

    def _selection(self, candidates: frozenset[Offer]) -> tuple[list[Offer], Ids]:
        found = self._selections.get(candidates)
        if found is None:
            offers = sorted(each for each in candidates if each in self._table)
            if len(self._selections) >= _MOST_SELECTIONS:
                self._selections.clear()
            found = self._selections[candidates] = (offers, self._table.rows(offers))
        return found

    def _query(self, text: str) -> _Query:
        ids, weights = features(text)
        rarity = self._table.rarity
        length = float(np.sqrt(np.square(weights) @ rarity[ids])) or 1.0
        return _Query(self._load().embed(text[:LONGEST_TEXT]), ids, weights * rarity[ids] / length, rarity)

    def _score(self, offer: Offer, together: float, query: _Query) -> Score:
        phrases = self._table.phrase_set(offer)
        alone = _blend(phrases.vectors @ query.direction, _likeness_by_feature(phrases, query))
        nearest = int(alone.argmax())
        likeness = (together + float(alone[nearest])) / 2
        value = 1 / (1 + np.exp(-_STEEPNESS * (likeness - _MIDPOINT)))
        return Score(offer, round(float(value), 4), phrases.phrases[nearest])


def _blend(by_meaning: Floats, by_feature: Floats) -> Floats:
    return _MEANING * by_meaning + (1 - _MEANING) * by_feature


def _likeness_by_feature(phrases: PhraseSet, query: _Query) -> Floats:
    dense = np.zeros(FEATURES, dtype=np.float32)
    dense[query.ids] = query.weights
    shared = np.add.reduceat(phrases.weights * dense[phrases.ids], phrases.starts)
    lengths = np.sqrt(np.add.reduceat(np.square(phrases.weights) * query.rarity[phrases.ids], phrases.starts))
    likeness: Floats = (shared / lengths).astype(np.float32)
    return likeness
