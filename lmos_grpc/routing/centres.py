"""Where each offer lies, and which others lie nearest to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmos_grpc.routing.classifier import Offer
    from lmos_grpc.routing.text_features import Floats

_FIRST_ROWS = 64
_FIRST_LOOK = 64


class Centres:
    """The middle of the phrases of each offer, as a unit row."""

    def __init__(self, width: int) -> None:
        self._rows: dict[Offer, int] = {}
        self._offers: list[Offer | None] = []
        self._free: list[int] = []
        self._matrix: Floats = np.zeros((_FIRST_ROWS, width), dtype=np.float32)

    def put(self, offer: Offer, centre: Floats) -> None:
        """Takes in an offer that is not there yet."""
        if self._free:
            row = self._free.pop()
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
        row = self._rows.pop(offer)
        self._offers[row] = None
        self._free.append(row)

    def nearest(self, offer: Offer) -> Iterator[Offer]:
        """All others, the nearest first."""
        matrix = self._matrix[: len(self._offers)]
        likeness = (matrix @ matrix[self._rows[offer]]).round(4)
        given, count = 0, _FIRST_LOOK
        while given < len(self._rows) - 1:
            # The best few are sought first, for hardly anybody asks for more.
            floor = -np.inf if count >= len(likeness) else np.partition(likeness, -count)[-count]
            rows = np.flatnonzero(likeness >= floor)
            found = ((row, self._offers[row]) for row in rows)
            order = sorted((-likeness[row], other) for row, other in found if other is not None and other != offer)
            yield from (other for _, other in order[given:])
            given, count = len(order), count * 8
