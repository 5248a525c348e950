"""Where each offer lies, and which others lie nearest to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmos_grpc.routing.classifier import Offer
    from lmos_grpc.routing.text_features import Floats

_FIRST_ROWS = 64


class Centres:
    """The middle of the phrases of each offer, as a unit row."""

    def __init__(self, width: int) -> None:
        self._rows: dict[Offer, int] = {}
        self._offers: list[Offer | None] = []
        self._matrix: Floats = np.zeros((_FIRST_ROWS, width), dtype=np.float32)

    def put(self, offer: Offer, centre: Floats) -> None:
        """Takes in an offer that is not there yet."""
        if None in self._offers:
            row = self._offers.index(None)
            self._offers[row] = offer
        else:
            row = len(self._offers)
            self._offers.append(offer)
        if row == len(self._matrix):
            self._matrix = np.pad(self._matrix, ((0, row), (0, 0)))
        self._rows[offer] = row
        self._matrix[row] = centre / max(float(np.linalg.norm(centre)), 1e-9)

    def drop(self, offer: Offer) -> None:
        """Forgets an offer that is there."""
        self._offers[self._rows.pop(offer)] = None

    def nearest(self, offer: Offer) -> Iterator[Offer]:
        """All others, the nearest first."""
        matrix = self._matrix[: len(self._offers)]
        likeness = (matrix @ matrix[self._rows[offer]]).round(4)
        order = sorted((-likeness[row], other) for other, row in self._rows.items() if other != offer)
        return (other for _, other in order)
