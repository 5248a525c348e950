"""From which agent, in which version and subset, each capability is had."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from lmos_grpc.domain.card import DEFAULT_SUBSET
from lmos_grpc.domain.decision import Exclusion
from lmos_grpc.routing.versions import picked, preferred

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from lmos_grpc.domain.card import AgentKey, Capability
    from lmos_grpc.domain.channel import RequiredCapability
    from lmos_grpc.domain.instance import Agent
    from lmos_grpc.routing.refusals import Refusal
    from lmos_grpc.routing.terms import Terms


class PassedOver(NamedTuple):
    """An agent that may have turns, and not these: for another one is wired, or the channel does not require it."""

    key: AgentKey
    capability: str
    exclusion: Exclusion
    reason: str


class _Found(NamedTuple):
    agent: Agent
    capability: Capability


@dataclass(frozen=True, slots=True)
class Wired:
    """The agent of each capability, by agent's name and capability's id; and what was passed over for them."""

    by_capability: Mapping[tuple[str, str], Agent]
    passed_over: tuple[PassedOver, ...]

    @property
    def agents(self) -> Collection[Agent]:
        """All that something is wired to."""
        return {each.key: each for each in self.by_capability.values()}.values()

    def missing(
        self, known: Iterable[Agent], required: Sequence[RequiredCapability], terms: Terms
    ) -> Iterator[RequiredCapability]:
        """What is required and not even there: an agent that only is not ready right now counts as being there."""
        if not required:
            return
        there = _by_name(each for each in known if each.key.subset in {terms.subset, DEFAULT_SUBSET})
        for wish in required:
            if not any(wish.takes(each.capability) for each in there.get(wish.name, ())):
                yield wish


def wire_all(agents: Sequence[Agent], subset: str) -> Wired:
    """Every capability of the preferred version of every agent. The agents come in the order of their names."""
    by_capability: dict[tuple[str, str], Agent] = {}
    passed: list[PassedOver] = []
    for name, group in groupby(agents, key=lambda each: each.key.name):
        versions = list(group)
        chosen = preferred(versions, subset=subset)
        if chosen:
            by_capability |= {(name, each.id): chosen for each in chosen.card.capabilities}
        passed.extend(_less_preferred(each, chosen, subset) for each in versions if each is not chosen)
    return Wired(by_capability, tuple(passed))


def wire_required(agents: Sequence[Agent], required: Sequence[RequiredCapability], terms: Terms) -> Wired:
    """What is required, each from the version that is to be picked; of agents that offer the same version, from all."""
    wiring = _Wiring(terms.subset)
    offered = _by_name(agents)
    for wish in required:
        wiring.take(wish, offered.get(wish.name, ()))
    names = {wish.name for wish in required}
    channel = terms.channel.name if terms.channel else ""
    for agent in agents:
        for each in agent.card.capabilities:
            if names.isdisjoint({each.id, each.name}):
                wiring.pass_over(
                    _Found(agent, each), Exclusion.CAPABILITY, f"the channel {channel} does not require {each.id}"
                )
    return wiring.done()


def explained(
    wish: RequiredCapability, agents: Iterable[Agent], standing: Mapping[AgentKey, Refusal | None], terms: Terms
) -> str:
    """Why something that is required is missing, in a sentence."""
    offers = [each for found in _by_name(agents).values() for each in found if wish.names(each.capability)]
    told = sorted({_shortfall(each, wish, standing[each.agent.key], terms) for each in offers})
    return f"{wish}: {'; '.join(told) if told else 'no agent offers it'}"


class _Wiring:
    """Wires one requirement after the other."""

    def __init__(self, subset: str) -> None:
        self._subset = subset
        self._by_capability: dict[tuple[str, str], Agent] = {}
        self._passed: dict[tuple[AgentKey, str], PassedOver] = {}

    def take(self, wish: RequiredCapability, found: Iterable[_Found]) -> None:
        fitting: dict[str, list[_Found]] = defaultdict(list)
        for each in found:
            if wish.takes(each.capability):
                fitting[each.agent.key.name].append(each)
            else:
                reason = f"its {each.capability.id} {each.capability.version} is not in the range {wish.versions.text}"
                self.pass_over(each, Exclusion.VERSION, reason)
        within = [each for of_one in fitting.values() for each in self._of_subset(of_one)]
        if not within:
            return
        version = picked([each.capability.version for each in within], wish)
        for each in within:
            if each.capability.version == version:
                self._wire(each)
            else:
                reason = f"{wish.name} is had in version {version}, the {wish.pick.value} one, not {{}}"
                self.pass_over(each, Exclusion.VERSION, reason.format(each.capability.version))

    def pass_over(self, found: _Found, exclusion: Exclusion, reason: str) -> None:
        key = found.agent.key
        self._passed[key, found.capability.id] = PassedOver(key, found.capability.id, exclusion, reason)

    def done(self) -> Wired:
        wired = {(agent.key, capability) for (_, capability), agent in self._by_capability.items()}
        return Wired(self._by_capability, tuple(each for place, each in self._passed.items() if place not in wired))

    def _of_subset(self, found: list[_Found]) -> list[_Found]:
        """Of the offers of one agent those of the subset asked for, or else of the stable one."""
        there = {each.agent.key.subset for each in found}
        subset = next((each for each in (self._subset, DEFAULT_SUBSET) if each in there), "")
        for each in found:
            if each.agent.key.subset != subset:
                of, wanted = each.agent.key.subset, subset or self._subset
                self.pass_over(each, Exclusion.SUBSET, f"it is of the subset {of!r}, not {wanted!r}")
        return [each for each in found if each.agent.key.subset == subset]

    def _wire(self, found: _Found) -> None:
        place = (found.agent.key.name, found.capability.id)
        known = self._by_capability.get(place)
        if known is None or found.agent.key.precedence > known.key.precedence:
            self._by_capability[place] = found.agent
        for each in filter(None, (known, found.agent)):
            if each is not self._by_capability[place]:
                reason = f"version {self._by_capability[place].key.version} is higher"
                self.pass_over(_Found(each, found.capability), Exclusion.VERSION, reason)


def _by_name(agents: Iterable[Agent]) -> Mapping[str, list[_Found]]:
    """What is offered, by the id and by the name of the capability."""
    found: dict[str, list[_Found]] = defaultdict(list)
    for agent in agents:
        for capability in agent.card.capabilities:
            for name in {capability.id, capability.name} - {""}:
                found[name].append(_Found(agent, capability))
    return found


def _less_preferred(agent: Agent, chosen: Agent | None, subset: str) -> PassedOver:
    if chosen is None or chosen.key.subset != agent.key.subset:
        wanted = chosen.key.subset if chosen else subset
        return PassedOver(agent.key, "", Exclusion.SUBSET, f"it is of the subset {agent.key.subset!r}, not {wanted!r}")
    return PassedOver(agent.key, "", Exclusion.VERSION, f"version {chosen.key.version} is higher")


def _shortfall(found: _Found, wish: RequiredCapability, refusal: Refusal | None, terms: Terms) -> str:
    who = f"{found.agent.key.name} offers {found.capability.version}"
    if not wish.takes(found.capability):
        return f"{who}"
    if refusal:
        return f"{who}, and {refusal.reason}"
    return f"{who}, of the subset {found.agent.key.subset!r}, not {terms.subset!r}"
