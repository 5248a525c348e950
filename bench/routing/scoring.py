"""What a classifier makes of labelled phrases, at every threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmos_grpc.routing import Offer
from lmos_grpc.routing.ranking import Ranking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.routing.catalogue import Catalogue
    from lmos_grpc.domain.card import AgentCard
    from lmos_grpc.routing import Classifier


@dataclass(frozen=True, slots=True)
class Found:
    """The best offer for a phrase: whether agent and capability are right, the score, and whether it is in scope.

    `close`: whether another agent is so near at the default threshold that the caller would be asked.
    """

    agent: bool
    capability: bool
    value: float
    in_scope: bool
    close: bool


@dataclass(frozen=True, slots=True)
class Scored:
    """All phrases as one classifier found them."""

    found: Sequence[Found]

    def accuracy(self, threshold: float = 0.0, *, capability: bool = True) -> float:
        """The share of what is in scope that is right and taken."""
        within = [each for each in self.found if each.in_scope]
        right = ((each.capability if capability else each.agent) and each.value >= threshold for each in within)
        return sum(right) / len(within)

    def out_of_scope_recall(self, threshold: float) -> float | None:
        """The share of what is out of scope that is declined; None where there is nothing of that."""
        outside = [each for each in self.found if not each.in_scope]
        return sum(each.value < threshold for each in outside) / len(outside) if outside else None

    def coverage(self, threshold: float) -> float:
        """The share of what is in scope that is taken."""
        within = [each for each in self.found if each.in_scope]
        return sum(each.value >= threshold for each in within) / len(within)

    def precision(self, threshold: float) -> float:
        """The share of right agents among what is in scope and taken."""
        taken = [each for each in self.found if each.in_scope and each.value >= threshold]
        return sum(each.agent for each in taken) / len(taken) if taken else 1.0

    def at_once(self, threshold: float) -> Scored:
        """What is in scope, taken, and not asked back."""
        return Scored([each for each in self.found if each.in_scope and each.value >= threshold and not each.close])

    def threshold_for_recall(self, recall: float) -> float:
        """The lowest threshold that declines so much of what is out of scope."""
        return next((at / 100 for at in range(101) if (self.out_of_scope_recall(at / 100) or 0) >= recall), 1.0)

    def threshold_for_precision(self, precision: float) -> float:
        """The lowest threshold from which on so much of what is taken is right."""
        return next((at / 100 for at in range(101) if self.precision(at / 100) >= precision), 1.0)


def score(classifier: Classifier, cards: Sequence[AgentCard], catalogue: Catalogue) -> Scored:
    """Has the classifier rank every phrase of the catalogue that it is judged by."""
    offers = frozenset(offer for card in cards for offer in Offer.of(card))
    found = []
    for each in catalogue.judged:
        ranking = Ranking(classifier.rank(each.text, "", offers))
        best, close = ranking.scores[0], len(ranking.rivals) > 1
        agent = catalogue.agent_of(each.capability) == best.offer.agent
        capability = best.offer.capability == each.capability
        found.append(Found(agent, capability, best.value, each.capability is not None, close))
    return Scored(found)
