"""From what a machine says to a score that means the same for an offer with one phrase and for one with a hundred."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lmos_grpc.routing.text_features import Floats, Ids

NOTHING = -1.0  # what a machine says of what is not like its phrases at all
_REACH = 0.3
_REACH_PER_STEP = 0.35
# That share of its reach a machine says of what is strange to it. Where there are few other agents the lead over that
# counts, for being ahead of nobody means nothing.
_STRANGE = 0.4


def reach(phrases: int) -> float:
    """How far above `NOTHING` a machine dares to go for what is like its phrases: the more it saw, the farther."""
    return _REACH + _REACH_PER_STEP * float(np.log1p(phrases))


def rivals(said: Floats, agents: Ids) -> Floats:
    """What the best of the other agents says, for each offer; agents are numbers, from zero."""
    best = np.full(int(agents.max()) + 1, -np.inf, dtype=np.float32)
    np.maximum.at(best, agents, said)
    first = int(best.argmax())
    second = np.delete(best, first).max(initial=-np.inf)
    found: Floats = np.where(agents == first, second, best[first]).astype(np.float32)
    return found


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for an offer.

    Attributes:
        machine: what its machine says.
        rival: what the best of the other agents says.
        likeness: how like the text is to the nearest phrase.
        phrases: how many example phrases it learnt from; with few, its machine does not dare to say much.
    """

    machine: float
    rival: float
    likeness: float
    phrases: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """The chance that an offer is right, from 0 to 1, by logistic regression.

    The defaults were fitted on the training split of CLINC150 (Larson et al., EMNLP 2019), with 0 to 90 phrases for
    each intent, and whole domains left out to stand for what is out of scope.
    """

    machine: float = 1.07
    lead: float = 4.29
    likeness: float = 2.99
    taught: float = -0.36
    offset: float = -0.6

    def value(self, evidence: Evidence) -> float:
        """The chance, rounded so that it is the same on every machine."""
        return round(float(1 / (1 + np.exp(-self.logit(evidence)))), 4)

    def logit(self, evidence: Evidence) -> float:
        """The chance as log odds."""
        taught, far = float(np.log1p(evidence.phrases)), reach(evidence.phrases)
        return (
            self.machine * (evidence.machine - NOTHING) / far
            + self.lead * (evidence.machine - max(evidence.rival, NOTHING + _STRANGE * far)) / far
            + self.likeness * evidence.likeness
            + self.taught * taught
            + self.offset
        )
