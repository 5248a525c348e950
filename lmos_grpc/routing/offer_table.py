"""All offers as two matrices, kept up to date one offer at a time, to compare a text with all of them at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmos_grpc.routing.text_features import FEATURES
from lmos_grpc.routing.word_vectors import DIMENSIONS

if TYPE_CHECKING:
    from lmos_grpc.routing.classifier import Offer
    from lmos_grpc.routing.phrase_set import PhraseSet
    from lmos_grpc.routing.text_features import Floats, Ids

_FIRST_ROWS = 64
_BLOCK = 1_024


class OfferTable:
    """Offers by row: the middle of their phrases, and the features of all their phrases together."""

    def __init__(self) -> None:
        self._rows: dict[Offer, int] = {}
        self._sets: dict[Offer, PhraseSet] = {}
        self._free = list(range(_FIRST_ROWS))
        self._directions = np.zeros((_FIRST_ROWS, DIMENSIONS), dtype=np.float32)
        self._profiles = np.zeros((FEATURES, _FIRST_ROWS), dtype=np.float32)
        self._document_counts = np.zeros(FEATURES, dtype=np.int64)
        self._phrase_count = 0
        self._rarity: Floats | None = None
        self._norms = np.ones(_FIRST_ROWS, dtype=np.float32)

    def __contains__(self, offer: Offer) -> bool:
        return offer in self._rows

    def phrase_set(self, offer: Offer) -> PhraseSet:
        """The phrases of the offer."""
        return self._sets[offer]

    def rows(self, offers: list[Offer]) -> Ids:
        """The rows of the offers, in their order."""
        return np.array([self._rows[each] for each in offers], dtype=np.int64)

    def add(self, offer: Offer, phrases: PhraseSet) -> None:
        """Takes in an offer that is not there yet."""
        if not self._free:
            self._grow()
        row = self._rows[offer] = self._free.pop()
        self._sets[offer] = phrases
        self._directions[row] = phrases.direction()
        self._profiles[:, row] = phrases.profile()
        self._count(phrases, 1)

    def remove(self, offer: Offer) -> None:
        """Forgets an offer that is there."""
        row = self._rows.pop(offer)
        self._directions[row] = 0
        self._profiles[:, row] = 0
        self._free.append(row)
        self._count(self._sets.pop(offer), -1)

    @property
    def rarity(self) -> Floats:
        """How much each feature tells, squared: the fewer phrases have it, the more (inverse document frequency)."""
        if self._rarity is None:
            share = (1 + self._phrase_count) / (1 + self._document_counts)
            self._rarity = np.square(np.log(share) + 1).astype(np.float32)
            self._norms = self._profile_norms(self._rarity)
        return self._rarity

    def likeness(self, direction: Floats, ids: Ids, weights: Floats) -> tuple[Floats, Floats]:
        """The cosine of a text with every row, by vector and by feature. Weights are those of `rarity`, unit length."""
        lexical: Floats = weights @ self._profiles[ids]
        return self._directions @ direction, lexical / self._norms

    def _count(self, phrases: PhraseSet, sign: int) -> None:
        self._document_counts += sign * phrases.document_counts()
        self._phrase_count += sign * len(phrases.phrases)
        self._rarity = None

    def _profile_norms(self, rarity: Floats) -> Floats:
        squares = np.zeros(self._profiles.shape[1], dtype=np.float32)
        for start in range(0, FEATURES, _BLOCK):
            block = slice(start, start + _BLOCK)
            squares += rarity[block] @ np.square(self._profiles[block])
        return np.sqrt(np.maximum(squares, np.float32(1e-9)))

    def _grow(self) -> None:
        rows = len(self._directions)
        self._free = list(range(rows, 2 * rows))
        self._directions = np.pad(self._directions, ((0, rows), (0, 0)))
        self._profiles = np.pad(self._profiles, ((0, 0), (0, rows)))
