"""The last gate: whatever led to a decision, it goes to agents and capabilities that the terms permit, or nowhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lmos_grpc.errors import AgentNotAllowedError
from lmos_grpc.routing.classifier import Offer
from lmos_grpc.routing.refusals import standing_refusals

if TYPE_CHECKING:
    from lmos_grpc.clients.live_view import LiveView
    from lmos_grpc.domain.decision import Candidate, Decision, Target
    from lmos_grpc.domain.instance import Agent
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.routing.classifier import Classifier
    from lmos_grpc.routing.terms import Terms


def permitted(decision: Decision, turn: TurnRequest, terms: Terms, view: LiveView, classifier: Classifier) -> Decision:
    """The decision, with a capability named to each agent that may be used for some of its capabilities only.

    An agent that is told of no capability chooses by the text, and so may choose what the channel does not permit.

    Raises:
        AgentNotAllowedError: an agent may not have the turn.
    """
    channel = terms.channel
    if not terms.rules.agents and (channel is None or channel.required is None):
        return decision  # governance saw each agent as a whole
    for target in decision.targets:
        agent = view.agents.get(target.key)
        capability = _capability(agent, target, turn, terms, classifier) if agent else target.capability
        if capability != target.capability:
            decision = _renamed(decision, target, capability)
    return decision


def _capability(agent: Agent, target: Target, turn: TurnRequest, terms: Terms, classifier: Classifier) -> str:
    refusal = next(standing_refusals(agent, terms), None)
    may = terms.permitted(agent.card)
    if refusal or not may:
        why = refusal.reason if refusal else "it offers nothing that the channel requires"
        raise AgentNotAllowedError(f"{agent.key.name} may not have the turn: {why}", agent=agent.key.name)
    if target.capability in may or (not target.capability and len(may) == len(agent.card.capabilities)):
        return target.capability
    offers = frozenset(each for each in Offer.of(agent.card) if each.capability in may)
    scores = classifier.rank(target.text or turn.message.text, turn.user.locale, offers)
    return next((each.offer.capability for each in scores if each.offer in offers), min(may))


def _renamed(decision: Decision, target: Target, capability: str) -> Decision:
    def same(each: Target | Candidate) -> bool:
        return (each.agent, each.version, each.subset, each.capability) == (*_place(target), target.capability)

    return replace(
        decision,
        targets=tuple(replace(each, capability=capability) if same(each) else each for each in decision.targets),
        candidates=tuple(
            replace(each, capability=capability) if each.chosen and same(each) else each for each in decision.candidates
        ),
    )


def _place(target: Target) -> tuple[str, str, str]:
    return (target.agent, target.version, target.subset)
