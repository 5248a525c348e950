"""All that keeps one agent from a turn: every obstacle, not only the first, so that one look is enough."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmos_grpc.domain.decision import Candidate, DecisionMode, Exclusion
from lmos_grpc.routing.classifier import Offer
from lmos_grpc.routing.governance import govern
from lmos_grpc.routing.refusals import known_agents, passing_refusals, standing_refusals
from lmos_grpc.routing.versions import CardRange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmos_grpc.clients.live_view import LiveView
    from lmos_grpc.domain.decision import Decision
    from lmos_grpc.domain.instance import Agent
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.routing.classifier import Classifier
    from lmos_grpc.routing.governance import Governed
    from lmos_grpc.routing.settings import RoutingSettings
    from lmos_grpc.routing.terms import Terms

_RANKED = (DecisionMode.CLASSIFIED, DecisionMode.CLARIFICATION, DecisionMode.FALLBACK, DecisionMode.ABSTAINED)


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A turn and its terms, and the decision on it: None where it can go to nobody."""

    turn: TurnRequest
    terms: Terms
    view: LiveView
    classifier: Classifier
    settings: RoutingSettings
    decision: Decision | None

    def about(self, name: str) -> tuple[Candidate, ...]:
        """Of each version of the agent: what keeps it out, or that it gets the turn. At least one entry.

        Raises:
            InvalidVersionError: the range that the caller wants is not one.
        """
        hint, view = self.turn.hint, self.view
        versions_there = known_agents(view.agents_named(name).values(), self.terms)
        if not versions_there:
            return (_unknown(name, known_agents(view.agents.values(), self.terms)),)
        known = sorted(versions_there, key=lambda each: each.key.precedence, reverse=True)
        versions = CardRange(hint.version_range, capability=hint.capability)
        governed = govern(view.agents.values(), self.terms, versions)
        return tuple(told for each in known for told in self._of_one(each, governed, versions))

    def _of_one(self, agent: Agent, governed: Governed, versions: CardRange) -> Iterator[Candidate]:
        refusals = (*standing_refusals(agent, self.terms), *passing_refusals(agent, self.terms, versions))
        yield from (_told(agent, "", exclusion, reason) for exclusion, reason in refusals)
        if not refusals:
            yield from (each.candidate for each in governed.excluded if each.key == agent.key)
            yield from self._eligible(agent, governed.offers.intersection(Offer.of(agent.card)))

    def _eligible(self, agent: Agent, offers: frozenset[Offer]) -> Iterator[Candidate]:
        """What is told of the capabilities that the turn may be for."""
        decision, key = self.decision, agent.key
        if not offers:
            return
        if decision is None:
            yield _told(agent, "", Exclusion.NOT_CHOSEN, "nothing keeps it out, and yet the turn can go to nobody")
        elif chosen := [each.capability for each in decision.targets if each.key == key]:
            for capability in chosen:
                reason = "it gets the turn"
                yield Candidate(key.name, key.version, capability, key.subset, chosen=True, reason=reason)
        elif decision.mode in _RANKED:
            yield from self._outscored(agent, offers, decision)
        else:
            yield _told(agent, "", Exclusion.NOT_CHOSEN, decision.reason)

    def _outscored(self, agent: Agent, offers: frozenset[Offer], decision: Decision) -> Iterator[Candidate]:
        ranked = self.classifier.rank(self.turn.message.text, self.turn.user.locale, offers)
        scores = {each.offer: each.value for each in ranked}
        for offer in sorted(offers, key=lambda each: (-scores.get(each, 0.0), each)):
            score = scores.get(offer, 0.0)
            reason = _compared(score, self.settings, decision)
            yield _told(agent, offer.capability, Exclusion.NOT_CHOSEN, reason, score)


def _unknown(name: str, known: tuple[Agent, ...]) -> Candidate:
    close = difflib.get_close_matches(name, {each.key.name for each in known}, n=1)
    meant = f"; did you mean {close[0]}?" if close else "; `lmos agents` lists all that are"
    reason = f"no agent {name!r} is registered{meant}"
    return Candidate(name, "", "", "", exclusion=Exclusion.NOT_REGISTERED, reason=reason)


def _told(agent: Agent, capability: str, exclusion: Exclusion, reason: str, score: float = 0.0) -> Candidate:
    key = agent.key
    return Candidate(key.name, key.version, capability, key.subset, score, exclusion=exclusion, reason=reason)


def _compared(score: float, settings: RoutingSettings, decision: Decision) -> str:
    if score < settings.accept:
        return f"it scores {score:.2f}, and {settings.accept:.2f} is needed"
    best = next((each for each in decision.candidates if each.chosen), None)
    ahead = f", and {best.capability} of {best.agent} {best.score:.2f}" if best and best.score else ""
    return f"it scores {score:.2f}{ahead}: {decision.reason}"
