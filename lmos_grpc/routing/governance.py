"""Who may have a turn at all: decided from cards and terms alone, before anything looks at the text."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from lmos_grpc.domain.decision import Candidate, Governance
from lmos_grpc.routing.classifier import Offer
from lmos_grpc.routing.refusals import known_agents, passing_refusals, standing_refusals
from lmos_grpc.routing.versions import EVERY_VERSION
from lmos_grpc.routing.wiring import explained, wire_all, wire_required

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lmos_grpc.domain.card import AgentKey
    from lmos_grpc.domain.decision import Exclusion
    from lmos_grpc.domain.instance import Agent
    from lmos_grpc.routing.refusals import Refusal
    from lmos_grpc.routing.terms import Terms
    from lmos_grpc.routing.versions import CardRange
    from lmos_grpc.routing.wiring import PassedOver, Wired

_MOST_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Excluded:
    """An agent that may not have the turn, or not for this capability, and why."""

    key: AgentKey
    exclusion: Exclusion
    reason: str
    capability: str = ""

    @property
    def candidate(self) -> Candidate:
        """How it is told in a decision."""
        key = self.key
        return Candidate(
            key.name, key.version, self.capability, key.subset, exclusion=self.exclusion, reason=self.reason
        )


@dataclass(frozen=True, slots=True)
class Governed:
    """Those that may have the turn, and those that may not.

    `allowed` has one version of each agent by name, `wired` the version that each of its capabilities is had from,
    where that is another one. `shown` are those that may not, as far as a decision tells of them.
    """

    allowed: Mapping[str, Agent]
    offers: frozenset[Offer]
    excluded: tuple[Excluded, ...]
    wired: Mapping[tuple[str, str], Agent] = field(default_factory=dict)
    story: Governance = field(default_factory=Governance)
    shown: tuple[Candidate, ...] = ()

    def agent_for(self, name: str, capability: str) -> Agent:
        """The version of an allowed agent that has the turn for a capability; KeyError: the agent is not allowed."""
        return self.wired.get((name, capability)) or self.allowed[name]


def govern(agents: Iterable[Agent], terms: Terms, versions: CardRange = EVERY_VERSION) -> Governed:
    """Applies every rule to every agent that who asks may know of; the text of the turn has no say in it."""
    ordered = sorted(known_agents(agents, terms), key=_order)
    standing = {each.key: next(standing_refusals(each, terms), None) for each in ordered}
    known = [each for each in ordered if standing[each.key] is None]
    passing = {each.key: next(passing_refusals(each, terms, versions), None) for each in known}
    ready = [each for each in known if passing[each.key] is None]
    required = terms.channel.required if terms.channel else None
    wired = wire_all(ready, terms.subset) if required is None else wire_required(ready, required, terms)
    allowed = {agent.key.name: agent for agent in sorted(wired.agents, key=lambda each: each.key.precedence)}
    refused = chain(standing.items(), passing.items())
    excluded = (*(_refused(key, refusal) for key, refusal in refused if refusal), *map(_passed_over, wired.passed_over))
    unresolved = tuple(
        explained(each, ordered, standing, terms) for each in wired.missing(known, required or (), terms)
    )
    story = Governance(
        channel=terms.channel.name if terms.channel else "",
        subset=terms.subset,
        allowed=len(wired.agents),
        excluded=_counted(excluded, wired),
        unresolved=unresolved,
    )
    offers = frozenset(
        Offer(agent.key.name, capability, agent.key.version, agent.key.subset)
        for (_, capability), agent in wired.by_capability.items()
    )
    shown = tuple(each.candidate for each in excluded[:_MOST_SHOWN])
    return Governed(allowed, offers, excluded, wired.by_capability, story, shown)


def _order(agent: Agent) -> tuple[str, str, str]:
    return (agent.key.name, agent.key.version, agent.key.subset)


def _refused(key: AgentKey, refusal: Refusal) -> Excluded:
    return Excluded(key, refusal.exclusion, refusal.reason)


def _passed_over(passed: PassedOver) -> Excluded:
    return Excluded(passed.key, passed.exclusion, passed.reason, passed.capability)


def _counted(excluded: tuple[Excluded, ...], wired: Wired) -> Mapping[Exclusion, int]:
    """How many agents are out altogether, by the first thing that keeps each out."""
    within = {each.key for each in wired.agents}
    first = {each.key: each.exclusion for each in reversed(excluded) if each.key not in within}
    return Counter(first.values())
