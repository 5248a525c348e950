"""All that operators declare of a mesh, as one value: it is in force as a whole, or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lmos_grpc.domain.card import AgentCard, AgentKey
    from lmos_grpc.domain.channel import Channel
    from lmos_grpc.domain.declared_agent import DeclaredAgent
    from lmos_grpc.domain.tenant import Tenant

_ALL_TENANTS = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """Tenants by name; channels by tenant (empty: all) and id, and then by subset; declared agents by name.

    Where no tenant is declared there are all of them, and where no channel is declared likewise.
    """

    tenants: Mapping[str, Tenant] = field(default_factory=dict)
    channels: Mapping[tuple[str, str], Mapping[str, Channel]] = field(default_factory=dict)
    agents: Mapping[str, tuple[DeclaredAgent, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, tenants: Iterable[Tenant] = (), channels: Iterable[Channel] = (), agents: Iterable[DeclaredAgent] = ()
    ) -> Rules:
        """The rules that these make up."""
        places: dict[tuple[str, str], dict[str, Channel]] = {}
        for channel in channels:
            for tenant in channel.tenants or (_ALL_TENANTS,):
                places.setdefault((tenant, channel.channel), {})[channel.subset] = channel
        declared: dict[str, tuple[DeclaredAgent, ...]] = {}
        for agent in agents:
            declared[agent.card.name] = (*declared.get(agent.card.name, ()), agent)
        return cls({each.name: each for each in tenants}, places, declared)

    def channels_at(self, tenant: str, channel: str) -> Mapping[str, Channel]:
        """A channel by subset, each as the tenant has it, or else as all have it; empty: there is none."""
        of_all, own = self.channels.get((_ALL_TENANTS, channel), {}), self.channels.get((tenant, channel), {})
        return {**of_all, **own} if of_all and own else of_all or own

    def declared(self, key: AgentKey) -> tuple[DeclaredAgent, ...]:
        """All that is declared of an agent."""
        return tuple(each for each in self.agents.get(key.name, ()) if each.is_about(key))

    def dressed(self, card: AgentCard) -> AgentCard:
        """The card with what is declared of its agent."""
        for declared in self.declared(card.key):
            card = declared.dressed(card)
        return card
