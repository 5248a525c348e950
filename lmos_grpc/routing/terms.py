"""The terms of a turn: whose rules apply to it, and which subset it falls to. Its text has no say in them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lmos_grpc.domain.card import DEFAULT_SUBSET
from lmos_grpc.domain.rules import Rules
from lmos_grpc.domain.turn import CallContext, Lane
from lmos_grpc.errors import ChannelNotAllowedError, HandoverLimitError, TenantNotAllowedError
from lmos_grpc.routing.rollout import drawn_subset

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from lmos_grpc.domain.card import AgentCard
    from lmos_grpc.domain.channel import Channel
    from lmos_grpc.domain.tenant import Tenant
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.routing.settings import RoutingSettings

_THRESHOLDS = ("accept", "part", "clear_odds", "shift")


@dataclass(frozen=True, slots=True)
class Terms:
    """The rules that apply to a turn; None: nothing is declared of its tenant, or of its channel."""

    context: CallContext = field(default_factory=CallContext)
    subset: str = DEFAULT_SUBSET
    tenant: Tenant | None = None
    channel: Channel | None = None
    rules: Rules = field(default_factory=Rules)
    note: str = ""

    @property
    def durable(self) -> bool | None:
        """Whether an event of the turn is on disk before it is shown; None: as the mesh does it."""
        return self.channel.durable if self.channel else None

    def permitted(self, card: AgentCard) -> frozenset[str]:
        """The ids of those capabilities of a card that the turn may be for."""
        return self.channel.permitted(card) if self.channel else frozenset(each.id for each in card.capabilities)

    def check_handover(self) -> None:
        """Checks that a turn that had an agent before may go on to another one.

        Raises:
            HandoverLimitError: the channel lets no agent give a turn on.
        """
        if self.context.visited and self.channel and not self.channel.may_hand_over:
            giver = self.context.visited[-1]
            raise HandoverLimitError(
                f"{giver} may not give the turn on: the channel {self.channel.name} ({self.channel.where}) lets no "
                f"agent hand over or ask another one",
                agent=giver,
            )

    def applied_to(self, turn: TurnRequest) -> TurnRequest:
        """The turn with what its caller left open, and within the limits of its tenant and channel."""
        strategy, tenant, channel = turn.hint.strategy, self.tenant, self.channel
        if tenant is None and channel is None:
            return turn
        limits = (each.turn_budget for each in (tenant, channel) if each)
        strategy = replace(strategy, turn_budget=_shortest(strategy.turn_budget, *limits))
        if channel:
            strategy = strategy.or_else(channel.strategy)
        if tenant and tenant.max_branches:
            strategy = replace(strategy, max_branches=min(strategy.max_branches, tenant.max_branches))
        locale = turn.user.locale or (tenant.default_locale if tenant else "")
        return replace(turn, hint=replace(turn.hint, strategy=strategy), user=replace(turn.user, locale=locale))

    def lane_of(self, turn: TurnRequest) -> Lane:
        """The lane that the caller asks for, or else the channel."""
        return turn.hint.lane if turn.hint.lane is not Lane.UNSPECIFIED or not self.channel else self.channel.lane

    def keeps_managed(self, turn: TurnRequest) -> str:
        """Why the channel keeps the turn on the managed lane, where it does, and the caller does not ask for it."""
        channel = self.channel
        if channel is None or turn.hint.lane is Lane.MANAGED:
            return ""
        if channel.lane is Lane.MANAGED:
            return f"the channel {channel.name} wants it"
        # What goes straight to the caller is on no disk.
        return f"the channel {channel.name} is durable" if channel.durable else ""

    def settings(self, settings: RoutingSettings) -> RoutingSettings:
        """The settings with those that the channel sets for itself."""
        if self.channel is None:
            return settings
        own = {name: getattr(self.channel.thresholds, name) for name in _THRESHOLDS}
        fallback = self.channel.fallback_agent or settings.fallback_agent
        return replace(
            settings, fallback_agent=fallback, **{name: value for name, value in own.items() if value is not None}
        )

    def abstention(self, locale: str) -> str:
        """What the mesh says where nobody gets the turn: in the user's language, else in the first that is declared."""
        texts = self.channel.fallback_texts if self.channel else {}
        language = locale.replace("_", "-").split("-", 1)[0].lower()
        return texts.get(locale) or texts.get(language) or next(iter(texts.values()), "")


def terms_of(rules: Rules, context: CallContext, conversation_id: str) -> Terms:
    """The terms of a turn.

    Raises:
        TenantNotAllowedError: tenants are declared, and this is none of them.
        ChannelNotAllowedError: the tenant may not use the channel, or channels are declared, and this is none of them.
    """
    tenant = _tenant(rules, context)
    by_subset = _channels(rules, context)
    usual = by_subset.get(DEFAULT_SUBSET) or next(iter(by_subset.values()), None)
    overridable = tenant is None or tenant.subset_override
    subset = (context.subset if overridable else "") or _subset(usual, conversation_id)
    note = ""
    if context.subset and not overridable:
        note = f"; the tenant {context.tenant} does not let its callers choose the subset {context.subset!r}"
    return Terms(context, subset, tenant, by_subset.get(subset, usual), rules, note)


def _tenant(rules: Rules, context: CallContext) -> Tenant | None:
    tenant = rules.tenants.get(context.tenant)
    if rules.tenants and tenant is None:
        raise TenantNotAllowedError(
            f"the mesh has no tenant {context.tenant!r}; set x-lmos-tenant to one that is declared",
            tenant=context.tenant,
        )
    if tenant and tenant.channels and context.channel not in tenant.channels:
        raise ChannelNotAllowedError(
            f"the tenant {tenant.name} may not use the channel {context.channel!r}, only "
            f"{', '.join(sorted(tenant.channels))}",
            tenant=tenant.name,
            channel=context.channel,
        )
    return tenant


def _channels(rules: Rules, context: CallContext) -> Mapping[str, Channel]:
    found = rules.channels_at(context.tenant, context.channel)
    if rules.channels and not found:
        raise ChannelNotAllowedError(
            f"the tenant {context.tenant!r} has no channel {context.channel!r}; set x-lmos-channel to one that is "
            f"declared",
            tenant=context.tenant,
            channel=context.channel,
        )
    return found


def _subset(channel: Channel | None, conversation_id: str) -> str:
    if channel is None:
        return DEFAULT_SUBSET
    if not channel.weights:
        return channel.subset
    return drawn_subset(channel.weights, channel=channel.name, conversation_id=conversation_id)


def _shortest(*budgets: timedelta | None) -> timedelta | None:
    return min((each for each in budgets if each is not None), default=None)
