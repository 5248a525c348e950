"""Turns that name their agent or capability: the one that was named, or a typed error, never a guess."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from semantic_version import Version

from lmos_grpc.domain.decision import Candidate, Decision, DecisionMode, Exclusion
from lmos_grpc.domain.turn import StrategyKind
from lmos_grpc.errors import (
    AgentNotAllowedError,
    HandoverLoopError,
    NoHealthyInstanceError,
    UnknownAgentError,
    UnknownCapabilityError,
)
from lmos_grpc.routing.case import SPREADING, most_targets, target_of
from lmos_grpc.routing.governance import govern
from lmos_grpc.routing.language import speaks
from lmos_grpc.routing.versions import CardRange

if TYPE_CHECKING:
    from collections.abc import Collection

    from lmos_grpc.clients.live_view import LiveView
    from lmos_grpc.domain.instance import Agent
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.errors import LmosError
    from lmos_grpc.routing.governance import Excluded

_RETRY_AFTER = timedelta(seconds=1)


def by_name(view: LiveView, turn: TurnRequest) -> Decision | None:
    """The decision where the caller named an agent or a capability; None where it named neither."""
    hint = turn.hint
    if not hint.agent and not hint.capability:
        return None
    named = (f"the {what} {name!r}" for what, name in (("agent", hint.agent), ("capability", hint.capability)) if name)
    agents = named_agents(view, turn, agent=hint.agent, capability=hint.capability, version_range=hint.version_range)
    reason = f"the caller named {' and '.join(named)}"
    return to_named(turn, agents, hint.capability, mode=DecisionMode.EXPLICIT, reason=reason)


def to_named(
    turn: TurnRequest, agents: tuple[Agent, ...], capability: str, *, mode: DecisionMode, reason: str
) -> Decision:
    """The decision for the best of the agents, or for as many as the strategy may ask."""
    wanted = turn.hint.strategy
    strategy = wanted.in_force(wanted.kind if wanted.kind in SPREADING else StrategyKind.ONE)
    targets = tuple(target_of(each, capability) for each in agents[: most_targets(strategy)])
    return Decision(
        mode=mode,
        reason=reason,
        targets=targets,
        candidates=tuple(
            Candidate(each.agent, each.version, each.capability, each.subset, chosen=True) for each in targets
        ),
        strategy=strategy,
    )


def named_agents(
    view: LiveView, turn: TurnRequest, *, agent: str, capability: str, version_range: str = ""
) -> tuple[Agent, ...]:
    """The agents that may have the turn among those that were named, the best first; at least one.

    The best speaks the user's language, then has the highest version of the capability.

    Raises:
        InvalidVersionError: the range is not one.
        UnknownAgentError: there is no such agent, or none in the range.
        UnknownCapabilityError: nobody offers it, or nobody in the range.
        AgentNotAllowedError: tenant, channel or subset are not served.
        HandoverLoopError: the agent had the turn before.
        NoHealthyInstanceError: no instance is ready.
    """
    versions = CardRange(version_range, capability=capability)
    known = tuple((view.agents_named(agent) if agent else view.agents).values())
    if not known and agent:
        raise UnknownAgentError(f"no agent {agent!r} is registered; `lmos agents` lists all that are", agent=agent)
    offering = tuple(each for each in known if not capability or each.card.capability(capability))
    if not offering:
        raise UnknownCapabilityError(_nobody_offers(agent, capability), agent=agent, capability=capability)
    governed = govern(offering, turn.context, versions)
    if not governed.allowed:
        raise _error(governed.excluded, agent=agent, capability=capability)

    def rank(each: Agent) -> tuple[bool, Version]:
        offered = each.card.capability(capability)
        return speaks(each.card, turn.user.locale), Version(offered.version if offered else each.card.version)

    return tuple(sorted(governed.allowed.values(), key=rank, reverse=True))


def _nobody_offers(agent: str, capability: str) -> str:
    who = f"agent {agent!r} does not offer" if agent else "no agent offers"
    return f"{who} the capability {capability!r}; `lmos agents` lists what is offered"


def _error(excluded: Collection[Excluded], *, agent: str, capability: str) -> LmosError:
    # The one that was nearest to being allowed tells the caller most.
    nearness = (Exclusion.NOT_READY, Exclusion.VERSION, Exclusion.VISITED)
    nearest = min(excluded, key=lambda each: nearness.index(each.exclusion) if each.exclusion in nearness else 9)
    what = f"{agent or nearest.key.name} {nearest.key.version}"
    message = f"{what}{f' with the capability {capability!r}' if capability else ''} cannot take the turn"
    told = f"{message}: {nearest.reason}"
    retry_after = _RETRY_AFTER if nearest.exclusion is Exclusion.NOT_READY else None
    error = _error_class(nearest.exclusion, named_capability=bool(capability))
    return error(told, retry_after=retry_after, agent=nearest.key.name, capability=capability)


def _error_class(exclusion: Exclusion, *, named_capability: bool) -> type[LmosError]:
    match exclusion:
        case Exclusion.NOT_READY:
            return NoHealthyInstanceError
        case Exclusion.VERSION:
            return UnknownCapabilityError if named_capability else UnknownAgentError
        case Exclusion.VISITED:
            return HandoverLoopError
        case _:
            return AgentNotAllowedError
