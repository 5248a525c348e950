"""The default classifier: machines on words, letters and word vectors, taught by the cards alone, all offline."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lmos_grpc.routing.calibration import Calibration, Evidence, rivals
from lmos_grpc.routing.classifier import Offer, Score
from lmos_grpc.routing.learner import Learner
from lmos_grpc.routing.lesson import glance
from lmos_grpc.routing.one_thread import on_one_thread
from lmos_grpc.routing.own_curve import Curve
from lmos_grpc.routing.text_features import FEATURES, LONGEST_TEXT, features
from lmos_grpc.routing.weight_table import WeightTable
from lmos_grpc.routing.word_vectors import load_word_vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmos_grpc.domain.card import AgentCard, AgentKey
    from lmos_grpc.routing.lesson import Lesson
    from lmos_grpc.routing.text_features import Floats, Ids
    from lmos_grpc.routing.text_vectors import TextVectors

_SHORTLIST = 16
_COMPARED = 5  # so many are compared with the text phrase by phrase
_MOST_SELECTIONS = 256


class _Selection(NamedTuple):
    offers: list[Offer]
    columns: Ids
    agents: Ids  # a number for each agent


class LexicalEmbeddingClassifier:
    """Scores a text with one machine for each offer, and compares the best with their phrases.

    The machines tell intents apart; the nearest phrase and the lead over the others tell what is out of scope.
    """

    def __init__(
        self,
        load: Callable[[], TextVectors] = load_word_vectors,
        *,
        name: str = "lexical-embedding",
        calibration: Calibration | None = None,
    ) -> None:
        self.name = name
        self._vectors = load()
        self.curve = Curve(calibration or Calibration())
        self.learner = Learner(self._embed, self.curve)
        self._table = WeightTable(self._vectors.dimensions)
        self._selections: dict[frozenset[Offer], _Selection] = {}

    def sync(self, changed: Mapping[AgentKey, AgentCard | None]) -> None:
        """Takes in cards and learns all that follows from them."""
        with on_one_thread():
            for lesson in self.learner.change(changed):
                self.take(lesson)
            while (learnt := self.learner.learn()) is not None:
                self.take(learnt)

    def glance(self, changed: Mapping[AgentKey, AgentCard | None], until: float) -> None:
        """Makes cards that it does not know rankable in a hurry, until `take` brings more, and forgets who is gone."""
        for key, card in changed.items():
            if card is None:
                self._table.drop(key)
                self._selections.clear()
            elif not any(each in self._table for each in Offer.of(card)):
                for lesson in glance(card, self._embed, until):
                    self.take(lesson)

    def take(self, lesson: Lesson | Curve) -> None:
        """Takes in what was learnt elsewhere; in force for the next text."""
        if isinstance(lesson, Curve):
            self.curve = lesson
        elif self._table.take(lesson):
            self._selections.clear()

    def rank(self, text: str, locale: str, candidates: frozenset[Offer]) -> tuple[Score, ...]:  # noqa: ARG002 - the phrases bring their language
        """The sixteen best of the candidates, the best first; the first five name their nearest phrase."""
        offers, columns, agents = self._selection(candidates)
        if not offers:
            return ()
        ids, weights = features(text)
        direction = self._embed(text)
        said = self._table.scores(ids, weights, direction)[columns].round(5)
        others = rivals(said, agents)
        dense = np.zeros(FEATURES, dtype=np.float32)
        dense[ids] = weights
        best = np.argsort(-said, kind="stable")[:_SHORTLIST]
        curve, scores = self.curve.calibration, []
        for place, at in enumerate(best):
            likeness, nearest = self._nearest(offers[at], dense, direction) if place < _COMPARED else (0.0, "")
            evidence = Evidence(
                float(said[at]), float(others[at]), likeness, len(self._table.phrases(offers[at]).phrases) - 1
            )
            scores.append(Score(offers[at], curve.value(evidence), nearest))
        return tuple(sorted(scores, key=lambda each: (-each.value, each.offer)))

    def _embed(self, text: str) -> Floats:
        return self._vectors.embed(text[:LONGEST_TEXT])

    def _selection(self, candidates: frozenset[Offer]) -> _Selection:
        found = self._selections.get(candidates)
        if found is None:
            offers = sorted(each for each in candidates if each in self._table)
            names = {name: number for number, name in enumerate(dict.fromkeys(each.agent for each in offers))}
            agents = np.array([names[each.agent] for each in offers], dtype=np.int64)
            if len(self._selections) >= _MOST_SELECTIONS:
                self._selections.clear()
            found = self._selections[candidates] = _Selection(offers, self._table.columns(offers), agents)
        return found

    def _nearest(self, offer: Offer, dense: Floats, direction: Floats) -> tuple[float, str]:
        phrases = self._table.phrases(offer)
        likeness = phrases.likeness(dense, direction).round(5)
        nearest = int(likeness.argmax())
        return float(likeness[nearest]), phrases.phrases[nearest]
