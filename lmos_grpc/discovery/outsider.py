"""What of the registry is told to whom asks at the edge: the agents of their tenant, and nobody's address."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lmos_grpc.discovery.catalogue import Audience
from lmos_grpc.domain.instance import Heartbeat, InstancePut, InstanceRemoved, SnapshotPart
from lmos_grpc.errors import UnknownAgentError
from lmos_grpc.rpc import context_from_metadata
from lmos_grpc.rpc.metadata import OUTSIDER_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lmos_grpc.discovery.catalogue import Match
    from lmos_grpc.domain.card import AgentCard
    from lmos_grpc.domain.instance import Agent, Instance, RegistryUpdate


@dataclass(frozen=True, slots=True)
class Outsider:
    """Somebody of a tenant who came over the edge."""

    tenant: str

    @classmethod
    def from_metadata(cls, metadata: Iterable[tuple[str, str | bytes]] | None) -> Outsider | None:
        """Who asks; None where it is somebody inside the mesh. The edge marks those who are not (envoy/)."""
        pairs = tuple(metadata or ())
        if not any(key == OUTSIDER_HEADER for key, _ in pairs):
            return None
        return cls(context_from_metadata(pairs).tenant)

    def may_know(self, card: AgentCard) -> bool:
        """Whether the agent serves the tenant."""
        return Audience(self.tenant).is_served_by(card)

    def agent(self, agent: Agent) -> Agent:
        """An agent as it is told.

        Raises:
            UnknownAgentError: it is for other tenants.
        """
        if not self.may_know(agent.card):
            raise UnknownAgentError(
                f"no agent {agent.card.name!r} is registered for this tenant", agent=agent.card.name
            )
        return replace(agent, instances=tuple(map(_without_address, agent.instances)))

    def agents(self, agents: Iterable[Agent]) -> Iterator[Agent]:
        """Those that may be known, as they are told."""
        return (self.agent(each) for each in agents if self.may_know(each.card))

    def matches(self, matches: Iterable[Match]) -> Iterator[Match]:
        """Those that may be known, as they are told."""
        return (replace(each, agent=self.agent(each.agent)) for each in matches if self.may_know(each.agent.card))


@dataclass(slots=True)
class OutsidersWatch:
    """One watch of an outsider. What it may not know is told as a sign of life."""

    outsider: Outsider
    resumed: bool
    _told: set[str] = field(default_factory=set)

    def update(self, update: RegistryUpdate) -> RegistryUpdate:
        """An update as it is told."""
        return replace(update, body=self._body(update.body))

    def _body(
        self, body: SnapshotPart | InstancePut | InstanceRemoved | Heartbeat
    ) -> SnapshotPart | InstancePut | InstanceRemoved | Heartbeat:
        match body:
            case SnapshotPart(instances):
                return replace(body, instances=tuple(self._shown(instances)))
            case InstancePut(instance):
                shown = next(self._shown((instance,)), None)
                return InstancePut(shown) if shown else Heartbeat()
            # Of what was told before this watch began it is not known whether it was.
            case InstanceRemoved(instance_id) if not self.resumed and instance_id not in self._told:
                return Heartbeat()
        return body

    def _shown(self, instances: Iterable[Instance]) -> Iterator[Instance]:
        for each in instances:
            if self.outsider.may_know(each.card):
                self._told.add(each.instance_id)
                yield _without_address(each)


def _without_address(instance: Instance) -> Instance:
    return replace(instance, address="")
