"""What a document declares, as the mesh knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos_grpc.declarations.value_kinds import duration
from lmos_grpc.domain.card import DEFAULT_SUBSET, AgentCard, Capability
from lmos_grpc.domain.channel import Channel, RequiredCapability, Thresholds, VersionPick
from lmos_grpc.domain.declared_agent import DeclaredAgent
from lmos_grpc.domain.tenant import Tenant
from lmos_grpc.domain.turn import Lane, StrategyKind
from lmos_grpc.domain.version_range import VersionRange

if TYPE_CHECKING:
    from lmos_grpc.declarations.document_schema import (
        AgentDocument,
        ChannelDocument,
        Provided,
        Required,
        TenantDocument,
    )

_STRATEGIES = {
    "auto": StrategyKind.UNSPECIFIED,
    "one": StrategyKind.ONE,
    "all": StrategyKind.ALL,
    "first": StrategyKind.FIRST,
}
_LANES = {"auto": Lane.UNSPECIFIED, "managed": Lane.MANAGED, "express": Lane.EXPRESS}


def tenant_of(document: TenantDocument, where: str) -> Tenant:
    """The tenant."""
    spec = document.spec
    return Tenant(
        name=document.metadata.name,
        channels=frozenset(spec.channels),
        default_locale=spec.default_locale,
        subset_override=spec.subset_override,
        max_branches=spec.limits.max_branches or 0,
        turn_budget=duration(spec.limits.turn_budget),
        where=where,
    )


def channel_of(document: ChannelDocument, where: str) -> Channel:
    """The channel."""
    spec, labels = document.spec, document.metadata.labels
    required = spec.required_capabilities
    return Channel(
        name=document.metadata.name,
        channel=spec.channel or labels.channel or document.metadata.name,
        tenants=frozenset(spec.tenants or ([labels.tenant] if labels.tenant else [])),
        subset=labels.subset or DEFAULT_SUBSET,
        required=None if required is None else tuple(map(_required, required)),
        strict=spec.policy == "strict",
        weights=dict(spec.weights),
        fallback_agent=spec.fallback.agent or "",
        fallback_texts=dict(spec.fallback.text),
        strategy=_STRATEGIES[spec.strategy],
        thresholds=Thresholds(**spec.thresholds.model_dump()),
        lane=_LANES[spec.lane],
        durable=spec.durable,
        turn_budget=duration(spec.turn_budget),
        may_hand_over=spec.handover,
        where=where,
    )


def agent_of(document: AgentDocument, where: str) -> DeclaredAgent:
    """The agent."""
    spec, labels = document.spec, document.metadata.labels
    card = AgentCard(
        name=document.metadata.name,
        version=labels.version or "",
        description=spec.description,
        capabilities=tuple(map(_capability, spec.provided_capabilities)),
        locales=tuple(spec.locales),
        subset=labels.subset or DEFAULT_SUBSET,
    )
    return DeclaredAgent(
        card=card,
        version=labels.version or "",
        subset=labels.subset or "",
        tenants=frozenset(spec.supported_tenants),
        channels=frozenset(spec.supported_channels),
        address=spec.address or "",
        where=where,
    )


def _required(wish: Required) -> RequiredCapability:
    pick = VersionPick.MOST_SIMILAR if wish.strategy == "MOST_SIMILAR" else VersionPick.HIGHEST
    return RequiredCapability(wish.name or wish.id, VersionRange(wish.version), pick)


def _capability(provided: Provided) -> Capability:
    return Capability(
        id=provided.id or provided.name,
        version=provided.version,
        description=provided.description,
        name=provided.name if provided.id else "",
        examples={locale: tuple(phrases) for locale, phrases in provided.examples.items()},
    )
