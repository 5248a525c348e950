"""A fair sample of everything that a mesh is told people say, which each capability learns to stay clear of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lmos_grpc.routing.phrase_set import PhraseSet

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from lmos_grpc.routing.classifier import Offer
    from lmos_grpc.routing.text_features import Floats, Ids

_SIZE = 600
_EVERYDAY_WEIGHT = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Background:
    """The phrases of the sample, with their offers (None: an everyday one), sketches, and how much each counts."""

    phrases: PhraseSet
    origins: tuple[tuple[str, Offer | None], ...]
    columns: Floats
    kernel: Floats
    weights: Floats

    @classmethod
    def of(cls, sets: Mapping[Offer, PhraseSet], everyday: PhraseSet) -> Background:
        """The phrases with the lowest hashes: the same whatever the order, and nearly the same after a change."""
        chosen = _sample(sets)
        picked = [sets[offer].pick(np.array([row])) for offer, row in chosen]
        phrases = PhraseSet.joined([everyday, *picked])
        rows = phrases.sketch()
        origins = tuple((sets[offer].phrases[row], offer) for offer, row in chosen)
        total = sum(map(len, sets.values()))
        weights = np.full(len(phrases), _stepped(total / max(len(chosen), 1)), dtype=np.float32)
        weights[: len(everyday)] = _EVERYDAY_WEIGHT
        told = (*((each, None) for each in everyday.phrases), *origins)
        return cls(phrases, told, np.ascontiguousarray(rows.T), rows @ rows.T, weights)

    @property
    def signature(self) -> tuple[object, ...]:
        """What machines that were made with it depend on."""
        return (*self.origins, float(self.weights[-1]))

    def said(self, near: PhraseSet, far: Ids, unseen: Floats) -> npt.NDArray[np.float16]:
        """What a machine that learnt from some says of each phrase of the sample; NaN of what it never meets."""
        rows = {phrase: row for row, phrase in enumerate(near.phrases)}
        at = np.array([rows.get(phrase, -1) for phrase, _ in self.origins], dtype=np.int64)
        at[far] = len(near) + np.arange(len(far))
        return np.where(at < 0, np.nan, unseen[at]).astype(np.float16)


def _sample(sets: Mapping[Offer, PhraseSet]) -> list[tuple[Offer, int]]:
    offers = sorted(sets)
    if not offers:
        return []
    ranks = np.concatenate([sets[each].ranks for each in offers])
    first = np.cumsum([0, *(len(sets[each]) for each in offers)])
    lowest = np.sort(np.argsort(ranks, kind="stable")[:_SIZE])
    owners = np.searchsorted(first, lowest, side="right") - 1
    return [(offers[owner], int(at - first[owner])) for owner, at in zip(owners, lowest, strict=True)]


def _stepped(weight: float) -> float:
    # In steps of a tenth, so that not every new phrase anywhere changes every machine.
    return float(1.1 ** round(np.log(max(weight, 1.0)) / np.log(1.1)))
