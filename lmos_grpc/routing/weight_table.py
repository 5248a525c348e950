"""The machines of all offers as two matrices, to score a text with all of them at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmos_grpc.routing.lesson import Lesson
from lmos_grpc.routing.text_features import FEATURES

if TYPE_CHECKING:
    from lmos_grpc.domain.card import AgentKey
    from lmos_grpc.routing.classifier import Offer
    from lmos_grpc.routing.phrase_set import PhraseSet
    from lmos_grpc.routing.text_features import Floats, Ids

_FIRST_COLUMNS = 64


class WeightTable:
    """Offers by column. A lesson changes one column and is in force for the next text."""

    def __init__(self, dimensions: int) -> None:
        self._columns: dict[Offer, int] = {}
        self._phrases: dict[Offer, PhraseSet] = {}
        self._free = list(range(_FIRST_COLUMNS))
        self._profiles = np.zeros((FEATURES, _FIRST_COLUMNS), dtype=np.float16)  # by far the largest
        self._directions = np.zeros((dimensions, _FIRST_COLUMNS), dtype=np.float32)
        self._biases = np.zeros(_FIRST_COLUMNS, dtype=np.float32)

    def __contains__(self, offer: Offer) -> bool:
        return offer in self._columns

    def phrases(self, offer: Offer) -> PhraseSet:
        """The phrases of the offer."""
        return self._phrases[offer]

    def columns(self, offers: list[Offer]) -> Ids:
        """The columns of the offers, in their order."""
        return np.array([self._columns[each] for each in offers], dtype=np.int64)

    def drop(self, key: AgentKey) -> None:
        """Forgets all offers of an agent."""
        for offer in [each for each in self._columns if each.key == key]:
            self.take(Lesson(offer))

    def take(self, lesson: Lesson) -> bool:
        """Takes in what was learnt; whether the offer came or went."""
        offer = lesson.offer
        if lesson.machine is None or lesson.phrases is None:
            self._phrases.pop(offer, None)
            column = self._columns.pop(offer, None)
            self._free.extend(() if column is None else (column,))
            return column is not None
        fresh = offer not in self._columns
        if fresh and not self._free:
            self._grow()
        column = self._columns[offer] = self._free.pop() if fresh else self._columns[offer]
        self._phrases[offer] = lesson.phrases
        self._profiles[:, column] = lesson.machine.profile
        self._directions[:, column] = lesson.machine.direction
        self._biases[column] = lesson.machine.bias
        return fresh

    def scores(self, ids: Ids, weights: Floats, direction: Floats) -> Floats:
        """What the machine of every column says of a text: about 1 where it is its own, about -1 where it is not."""
        lexical: Floats = weights @ self._profiles[ids].astype(np.float32)
        return lexical + direction @ self._directions + self._biases

    def _grow(self) -> None:
        width = len(self._biases)
        self._free = list(range(width, 2 * width))
        self._profiles = np.pad(self._profiles, ((0, 0), (0, width)))
        self._directions = np.pad(self._directions, ((0, 0), (0, width)))
        self._biases = np.pad(self._biases, (0, width))
