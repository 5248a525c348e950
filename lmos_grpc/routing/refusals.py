"""The rules that keep an agent from a turn, one by one: those that stand, and those that may pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lmos_grpc.domain.decision import Exclusion

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lmos_grpc.domain.instance import Agent
    from lmos_grpc.routing.terms import Terms
    from lmos_grpc.routing.versions import CardRange


class Refusal(NamedTuple):
    """What keeps an agent out, and how that is told."""

    exclusion: Exclusion
    reason: str


def standing_refusals(agent: Agent, terms: Terms) -> Iterator[Refusal]:
    """What keeps the agent out for as long as cards and rules are as they are; the tenant before all else."""
    card, tenant, channel = agent.card, terms.context.tenant, terms.context.channel
    if card.tenants and tenant not in card.tenants:
        yield Refusal(Exclusion.TENANT, f"it does not serve the tenant {tenant!r}")
    for declared in terms.rules.declared(agent.key):
        if not declared.serves_tenant(tenant):
            yield Refusal(Exclusion.TENANT, f"{declared.where} does not let it serve the tenant {tenant!r}")
    if card.channels and channel not in card.channels:
        yield Refusal(Exclusion.CHANNEL, f"it does not serve the channel {channel!r}")
    documents = terms.rules.agents.get(card.name, ())
    if documents and not any(each.is_about(agent.key) for each in documents):
        # Else a new version would have all the rights that its declaration was to take away.
        places = ", ".join(each.where for each in documents)
        yield Refusal(Exclusion.VERSION, f"{places} declares it, and not in this version and subset")
    for declared in terms.rules.declared(agent.key):
        if not declared.serves_channel(channel):
            yield Refusal(Exclusion.CHANNEL, f"{declared.where} does not let it serve the channel {channel!r}")


def known_agents(agents: Iterable[Agent], terms: Terms) -> tuple[Agent, ...]:
    """Those of the agents that who asks may know of: for a tenant, those of others do not exist.

    Whatever is decided, counted or told of a turn is about these alone
    (docs/decisions/0060-a-tenant-knows-its-own-agents.md).
    """
    if terms.context.operator:
        return tuple(agents)
    return tuple(each for each in agents if not _is_for_others(next(standing_refusals(each, terms), None)))


def _is_for_others(refusal: Refusal | None) -> bool:
    return refusal is not None and refusal.exclusion is Exclusion.TENANT


def passing_refusals(agent: Agent, terms: Terms, versions: CardRange) -> Iterator[Refusal]:
    """What keeps the agent out of this turn, or at this moment."""
    if agent.card.name in terms.context.visited:
        yield Refusal(Exclusion.VISITED, "it had this turn before")
    if not versions.takes(agent.card):
        yield Refusal(Exclusion.VERSION, f"it is not in the version range {versions.text!r}")
    if not agent.ready:
        yield Refusal(Exclusion.NOT_READY, "no instance of it is ready")
