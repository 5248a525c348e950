"""Who may have a turn at all: decided from cards and context alone, before anything looks at the text."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from lmos_grpc.domain.decision import Exclusion
from lmos_grpc.routing.classifier import Offer
from lmos_grpc.routing.versions import EVERY_VERSION, preferred

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lmos_grpc.domain.card import AgentKey
    from lmos_grpc.domain.instance import Agent
    from lmos_grpc.domain.turn import CallContext
    from lmos_grpc.routing.versions import CardRange


@dataclass(frozen=True, slots=True)
class Excluded:
    """An agent that may not have the turn, and why."""

    key: AgentKey
    exclusion: Exclusion
    reason: str


@dataclass(frozen=True, slots=True)
class Governed:
    """The agents that may have the turn, one version of each, with what they offer; and those that may not."""

    allowed: Mapping[str, Agent]
    offers: frozenset[Offer]
    excluded: tuple[Excluded, ...]


def govern(agents: Iterable[Agent], context: CallContext, versions: CardRange = EVERY_VERSION) -> Governed:
    """Applies every rule to every agent; the text of the turn has no say in it."""
    allowed: dict[str, Agent] = {}
    excluded: list[Excluded] = []
    for name, versions_of_one in groupby(sorted(agents, key=_order), key=lambda each: each.key.name):
        permitted: list[Agent] = []
        for agent in versions_of_one:
            refusal = _refusal(agent, context, versions)
            if refusal:
                excluded.append(Excluded(agent.key, *refusal))
            else:
                permitted.append(agent)
        chosen = preferred(permitted, subset=context.wanted_subset)
        if chosen:
            allowed[name] = chosen
        excluded.extend(_passed_over(each, chosen, context) for each in permitted if each is not chosen)
    offers = frozenset(offer for agent in allowed.values() for offer in Offer.of(agent.card))
    return Governed(allowed, offers, tuple(excluded))


def _order(agent: Agent) -> tuple[str, str, str]:
    return (agent.key.name, agent.key.version, agent.key.subset)


def _refusal(agent: Agent, context: CallContext, versions: CardRange) -> tuple[Exclusion, str] | None:
    card = agent.card
    if card.tenants and context.tenant not in card.tenants:
        return Exclusion.TENANT, f"it does not serve the tenant {context.tenant!r}"
    if card.channels and context.channel not in card.channels:
        return Exclusion.CHANNEL, f"it does not serve the channel {context.channel!r}"
    if card.name in context.visited:
        return Exclusion.VISITED, "it had this turn before"
    if not versions.takes(card):
        return Exclusion.VERSION, f"it is not in the version range {versions.text!r}"
    if not agent.ready:
        return Exclusion.NOT_READY, "no instance of it is ready"
    return None


def _passed_over(agent: Agent, chosen: Agent | None, context: CallContext) -> Excluded:
    if chosen is None or chosen.key.subset != agent.key.subset:
        wanted = chosen.key.subset if chosen else context.wanted_subset
        return Excluded(agent.key, Exclusion.SUBSET, f"it is of the subset {agent.key.subset!r}, not {wanted!r}")
    return Excluded(agent.key, Exclusion.VERSION, f"version {chosen.key.version} is higher")
