"""One turn on its way to a decision: what it says, who may have it, and how the story of the decision is told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lmos_grpc.domain.decision import Candidate, Decision, Target
from lmos_grpc.domain.turn import StrategyKind
from lmos_grpc.routing.language import speaks
from lmos_grpc.routing.ranking import Ranking
from lmos_grpc.routing.text_features import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmos_grpc.domain.decision import DecisionMode
    from lmos_grpc.domain.instance import Agent
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.routing.classifier import Classifier, Score
    from lmos_grpc.routing.governance import Governed
    from lmos_grpc.routing.settings import RoutingSettings

SPREADING = (StrategyKind.ALL, StrategyKind.FIRST)

_MOST_SCORED = 10
_LONGEST_PHRASE = 80


@dataclass(frozen=True, slots=True)
class Case:
    """A turn with all that a decision on it needs; `text` is what is classified."""

    turn: TurnRequest
    text: str
    governed: Governed
    classifier: Classifier
    settings: RoutingSettings

    def rank(self, text: str) -> Ranking:
        """The agents that may have the turn, ranked; speaking the user's language is preferred, not required."""
        if not words(text):
            return Ranking((), self.settings)
        locale = self.turn.user.locale
        offers = self.governed.offers
        # Whatever a classifier says, nobody gets a turn who may not have it.
        scores = tuple(each for each in self.classifier.rank(text, locale, offers) if each.offer in offers)
        if locale:
            weighted = (self._weighted(each, locale) for each in scores)
            scores = tuple(sorted(weighted, key=lambda each: (-each.value, each.offer)))
        return Ranking(scores, self.settings)

    def target(self, agent: str, capability: str = "", text: str = "") -> Target:
        """The target for an agent that may have the turn; a capability that it does not offer is left out."""
        return target_of(self.governed.agent_for(agent, capability), capability, text)

    def decision(
        self, mode: DecisionMode, reason: str, ranking: Ranking, *targets: Target, kind: StrategyKind = StrategyKind.ONE
    ) -> Decision:
        """The decision with its candidates."""
        return Decision(
            mode=mode,
            reason=reason,
            targets=targets,
            candidates=(*_chosen(targets, ranking), *_others(targets, ranking), *self.governed.shown),
            strategy=replace(self.turn.hint.strategy, kind=kind),
            classifier=self.classifier.name if ranking.scores else "",
        )

    def _weighted(self, score: Score, locale: str) -> Score:
        if speaks(self.governed.agent_for(score.offer.agent, score.offer.capability).card, locale):
            return score
        return replace(score, value=score.value * self.settings.locale_factor)


def target_of(agent: Agent, capability: str = "", text: str = "") -> Target:
    """The target for an agent; a capability that it does not offer is left out."""
    key = agent.key
    offered = capability if agent.card.capability(capability) else ""
    return Target(key.name, key.version, key.subset, offered, text)


def told(score: Score) -> str:
    """A score as people read it."""
    return f"'{score.offer.capability}' of {score.offer.agent} scored {score.value:.2f}"


def _chosen(targets: tuple[Target, ...], ranking: Ranking) -> Iterator[Candidate]:
    scores = {(each.offer.key, each.offer.capability): each for each in ranking.scores}
    for target in targets:
        score = scores.get((target.key, target.capability))
        yield Candidate(
            target.agent,
            target.version,
            target.capability,
            target.subset,
            score=score.value if score else 0.0,
            chosen=True,
            reason=_nearest(score) if score else "",
        )


def _others(targets: tuple[Target, ...], ranking: Ranking) -> Iterator[Candidate]:
    taken = {(each.key, each.capability) for each in targets}
    for score in ranking.scores[:_MOST_SCORED]:
        offer = score.offer
        if (offer.key, offer.capability) not in taken:
            yield Candidate(
                offer.agent, offer.version, offer.capability, offer.subset, score=score.value, reason=_nearest(score)
            )


def _nearest(score: Score) -> str:
    return f"its nearest phrase is {score.nearest[:_LONGEST_PHRASE]!r}" if score.nearest else ""
