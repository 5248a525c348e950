"""Turns that name their agent or capability: the one that was named, or a typed error, never a guess."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.domain.decision import Candidate, Decision, DecisionMode, Exclusion
from lmos_grpc.domain.turn import StrategyKind
from lmos_grpc.domain.version_range import semantic_version
from lmos_grpc.errors import (
    AgentNotAllowedError,
    HandoverLoopError,
    NoHealthyInstanceError,
    UnknownAgentError,
    UnknownCapabilityError,
)
from lmos_grpc.routing.case import SPREADING, most_targets, target_of
from lmos_grpc.routing.language import speaks
from lmos_grpc.routing.refusals import known_agents

if TYPE_CHECKING:
    from collections.abc import Collection

    from semantic_version import Version

    from lmos_grpc.clients.live_view import LiveView
    from lmos_grpc.domain.instance import Agent
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.errors import LmosError
    from lmos_grpc.routing.eligibility import Eligibility
    from lmos_grpc.routing.governance import Excluded, Governed
    from lmos_grpc.routing.terms import Terms

_RETRY_AFTER = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Roll:
    """All agents there are, and which of them may have a turn on these terms."""

    view: LiveView
    eligibility: Eligibility
    terms: Terms


def by_name(roll: Roll, turn: TurnRequest) -> Decision | None:
    """The decision where the caller named an agent or a capability; None where it named neither."""
    hint = turn.hint
    if not hint.agent and not hint.capability:
        return None
    named = (f"the {what} {name!r}" for what, name in (("agent", hint.agent), ("capability", hint.capability)) if name)
    agents = named_agents(roll, turn, agent=hint.agent, capability=hint.capability, version_range=hint.version_range)
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
    roll: Roll, turn: TurnRequest, *, agent: str, capability: str, version_range: str = ""
) -> tuple[Agent, ...]:
    """The agents that may have the turn among those that were named, the best first; at least one.

    The best speaks the user's language, then has the highest version of the capability.

    Raises:
        InvalidVersionError: the range is not one.
        UnknownAgentError: there is no such agent, it is for other tenants only, or none is in the range.
        UnknownCapabilityError: nobody offers it, or nobody in the range.
        AgentNotAllowedError: channel or subset are not served.
        ChannelUnresolvedError: the channel is strict, and something that it requires is not there.
        HandoverLoopError: the agent had the turn before.
        NoHealthyInstanceError: no instance is ready.
    """
    governed = roll.eligibility.governed(roll.terms, capability=capability, version_range=version_range)
    allowed = [
        governed.agent_for(name, capability)
        for name in ([agent] if agent else governed.allowed)
        if name in governed.allowed and (not capability or (name, capability) in governed.wired)
    ]
    if not allowed:
        raise _nobody(roll, governed, agent=agent, capability=capability, ranged=bool(version_range))

    def rank(each: Agent) -> tuple[bool, Version]:
        offered = each.card.capability(capability)
        return speaks(each.card, turn.user.locale), semantic_version(offered.version if offered else each.card.version)

    return tuple(sorted(allowed, key=rank, reverse=True))


def _nobody(roll: Roll, governed: Governed, *, agent: str, capability: str, ranged: bool) -> LmosError:
    there = roll.view.agents_named(agent) if agent else roll.view.agents
    known = known_agents(there.values(), roll.terms)
    if not known and agent:
        return UnknownAgentError(f"no agent {agent!r} is registered; `lmos agents` lists all that are", agent=agent)
    if capability and not any(each.card.capability(capability) for each in known):
        return UnknownCapabilityError(_nobody_offers(agent, capability), agent=agent, capability=capability)
    excluded = [
        each
        for each in governed.excluded
        if agent in {"", each.key.name} and (not capability or each.capability in {"", capability})
    ]
    return _error(excluded, agent=agent, capability=capability, ranged=ranged)


def _nobody_offers(agent: str, capability: str) -> str:
    who = f"agent {agent!r} does not offer" if agent else "no agent offers"
    return f"{who} the capability {capability!r}; `lmos agents` lists what is offered"


def _error(excluded: Collection[Excluded], *, agent: str, capability: str, ranged: bool) -> LmosError:
    # The one that was nearest to being allowed tells the caller most.
    nearness = (Exclusion.NOT_READY, Exclusion.VERSION, Exclusion.VISITED)
    nearest = min(excluded, key=lambda each: nearness.index(each.exclusion) if each.exclusion in nearness else 9)
    what = f"{agent or nearest.key.name} {nearest.key.version}"
    message = f"{what}{f' with the capability {capability!r}' if capability else ''} cannot take the turn"
    told = f"{message}: {nearest.reason}"
    retry_after = _RETRY_AFTER if nearest.exclusion is Exclusion.NOT_READY else None
    error = _error_class(nearest.exclusion, named_capability=bool(capability), ranged=ranged)
    return error(told, retry_after=retry_after, agent=nearest.key.name, capability=capability)


def _error_class(exclusion: Exclusion, *, named_capability: bool, ranged: bool) -> type[LmosError]:
    match exclusion:
        case Exclusion.NOT_READY:
            return NoHealthyInstanceError
        case Exclusion.VERSION if ranged:  # else it is the channel's range, or its choice
            return UnknownCapabilityError if named_capability else UnknownAgentError
        case Exclusion.VISITED:
            return HandoverLoopError
        case _:
            return AgentNotAllowedError
