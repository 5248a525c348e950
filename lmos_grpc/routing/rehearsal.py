"""What a mesh would make of phrases it never heard: everyday ones, and some of its own, each left out in its turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lmos_grpc.routing.calibration import NOTHING, Evidence, rivals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from lmos_grpc.routing.background import Background
    from lmos_grpc.routing.calibration import Calibration
    from lmos_grpc.routing.classifier import Offer
    from lmos_grpc.routing.phrase_set import PhraseSet
    from lmos_grpc.routing.text_features import Floats

_COMPARED = 5
_NEVER = 4 * NOTHING  # of what a machine never meets


class Rehearsed(NamedTuple):
    """A phrase that was left out, whose it is (None: it is an everyday one), and the best offer for it."""

    phrase: str
    origin: Offer | None
    best: Offer
    logit: float

    @property
    def right(self) -> bool:
        """Whether the agent was found whose phrase it is."""
        return self.origin is not None and self.best.agent == self.origin.agent


def rehearse(
    sets: Mapping[Offer, PhraseSet],
    background: Background,
    unseen: Mapping[Offer, npt.NDArray[np.float16]],
    calibration: Calibration,
) -> Iterator[Rehearsed]:
    """Goes through the sample of the mesh, descriptions apart.

    Args:
        sets: the phrases of each offer.
        background: the sample.
        unseen: what the machine of each offer says of each phrase of the sample had it not learnt that one.
        calibration: what the offers are ranked by.
    """
    if not sets:
        return
    offers = sorted(sets)
    table = np.stack([unseen[each] for each in offers])
    names = {name: number for number, name in enumerate(dict.fromkeys(each.agent for each in offers))}
    agents = np.array([names[each.agent] for each in offers], dtype=np.int64)
    for at, (phrase, origin) in enumerate(background.origins):
        if origin is not None and phrase == sets[origin].phrases[0]:
            continue  # nobody says what a description says
        said = np.nan_to_num(table[:, at].astype(np.float32), nan=_NEVER)
        others = rivals(said, agents)
        dense, direction = background.phrases.dense(at)
        ranked = []
        for row in np.argsort(-said, kind="stable")[:_COMPARED]:
            likeness, count = _nearest(sets[offers[row]], phrase, dense, direction)
            evidence = Evidence(float(said[row]), float(others[row]), likeness, count)
            ranked.append((-calibration.logit(evidence), offers[row]))
        worst, best = min(ranked)
        yield Rehearsed(phrase, origin, best, -worst)


def _nearest(phrases: PhraseSet, left_out: str, dense: Floats, direction: Floats) -> tuple[float, int]:
    likeness = phrases.likeness(dense, direction).round(5)
    count = len(phrases) - 1
    if left_out in phrases.phrases:
        likeness[phrases.phrases.index(left_out)] = NOTHING
        count = max(count - 1, 0)
    return float(likeness.max()), count
