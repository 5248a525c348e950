"""Agent cards on the wire."""

from __future__ import annotations

from lmos.agent.v1 import agent_card_pb2 as pb

from lmos_grpc.domain.card import DEFAULT_SUBSET, AgentCard, Capability


def card_to_wire(card: AgentCard) -> pb.AgentCard:
    """The card as it travels."""
    return pb.AgentCard(
        name=card.name,
        version=card.version,
        description=card.description,
        provider=pb.Provider(organization=card.provider_organization, url=card.provider_url),
        capabilities=[capability_to_wire(each) for each in card.capabilities],
        locales=card.locales,
        tenants=sorted(card.tenants),
        channels=sorted(card.channels),
        labels=card.labels,
        subset=card.subset,
        may_hand_over=card.may_hand_over,
        records_turns=card.records_turns,
        converses=card.converses,
        listens=card.listens,
    )


def card_from_wire(message: pb.AgentCard) -> AgentCard:
    """The card, not yet checked (`card_violations` does that)."""
    return AgentCard(
        name=message.name,
        version=message.version,
        description=message.description,
        capabilities=tuple(capability_from_wire(each) for each in message.capabilities),
        provider_organization=message.provider.organization,
        provider_url=message.provider.url,
        locales=tuple(message.locales),
        tenants=frozenset(message.tenants),
        channels=frozenset(message.channels),
        labels=dict(message.labels),
        subset=message.subset or DEFAULT_SUBSET,
        may_hand_over=message.may_hand_over,
        records_turns=message.records_turns,
        converses=message.converses,
        listens=message.listens,
    )


def capability_to_wire(capability: Capability) -> pb.Capability:
    """The capability as it travels."""
    return pb.Capability(
        id=capability.id,
        name=capability.name,
        version=capability.version,
        description=capability.description,
        examples={locale: pb.Examples(phrases=phrases) for locale, phrases in capability.examples.items()},
        tags=capability.tags,
        input_modes=capability.input_modes,
        output_modes=capability.output_modes,
        input_schema=capability.input_schema,
    )


def capability_from_wire(message: pb.Capability) -> Capability:
    """The capability, not yet checked."""
    return Capability(
        id=message.id,
        name=message.name,
        version=message.version,
        description=message.description,
        examples={locale: tuple(examples.phrases) for locale, examples in message.examples.items()},
        tags=tuple(message.tags),
        input_modes=tuple(message.input_modes),
        output_modes=tuple(message.output_modes),
        input_schema=message.input_schema,
    )
