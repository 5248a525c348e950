"""An agent as its operator declares it: whom it may serve, what people say to it, and perhaps where it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmos_grpc.domain.card import AgentCard, AgentKey, Capability

EVERY_CHANNEL = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredAgent:
    """What is declared of an agent; it comes on top of what the agent says of itself, and never gives it more rights.

    Attributes:
        card: what the declaration says of the agent; of its rights, `tenants` and `channels` below count.
        version: the version that the declaration is about; empty: all. `subset` likewise.
        tenants: whom it may serve; empty: all.
        channels: over which channels it may be reached; `*` stands for all, and empty means none, as with LMOS.
        address: where it listens (`host:port`), for an agent that does not register itself; else empty.
        where: the place of the declaration, such as `agents.yaml:3`.
    """

    card: AgentCard
    version: str = ""
    subset: str = ""
    tenants: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset({EVERY_CHANNEL})
    address: str = ""
    where: str = ""

    def is_about(self, key: AgentKey) -> bool:
        """Whether the agent is the one that is declared."""
        return self.card.name == key.name and self.version in {"", key.version} and self.subset in {"", key.subset}

    def serves_tenant(self, tenant: str) -> bool:
        """Whether it may serve the tenant."""
        return not self.tenants or tenant in self.tenants

    def serves_channel(self, channel: str) -> bool:
        """Whether it may be reached over the channel."""
        return EVERY_CHANNEL in self.channels or channel in self.channels

    def dressed(self, card: AgentCard) -> AgentCard:
        """The card with the examples, and where it has none the descriptions, of the declaration."""
        capabilities = tuple(self._dressed(each) for each in card.capabilities)
        return replace(card, capabilities=capabilities, description=card.description or self.card.description)

    def _dressed(self, capability: Capability) -> Capability:
        declared = next((each for each in self.card.capabilities if _same(each, capability)), None)
        if declared is None:
            return capability
        examples = dict(capability.examples)
        for locale, phrases in declared.examples.items():
            examples[locale] = tuple(dict.fromkeys((*examples.get(locale, ()), *phrases)))
        description = capability.description or declared.description
        return replace(capability, examples=examples, description=description)


def _same(declared: Capability, capability: Capability) -> bool:
    return bool({declared.id, declared.name} & ({capability.id, capability.name} - {""}))
