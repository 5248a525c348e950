"""What of the registry is told to whom asks at the edge: the agents of their tenant, and nobody's address."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lmos_grpc.discovery.catalogue import Audience
from lmos_grpc.domain.instance import Heartbeat, InstancePut, InstanceRemoved, RemovalReason, SnapshotPart
from lmos_grpc.rpc import context_from_metadata
from lmos_grpc.rpc.metadata import is_outsider

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
        return cls(context_from_metadata(pairs).tenant) if is_outsider(pairs) else None

    @property
    def audience(self) -> Audience:
        """For whom an agent has to be, so that they may know of it."""
        return Audience(self.tenant)

    def may_know(self, card: AgentCard) -> bool:
        """Whether the agent serves the tenant."""
        return self.audience.is_served_by(card)

    def agent(self, agent: Agent) -> Agent:
        """An agent that may be known, as it is told."""
        return replace(agent, instances=tuple(map(_without_address, agent.instances)))

    def agents(self, agents: Iterable[Agent]) -> Iterator[Agent]:
        """Those that may be known, as they are told."""
        return (self.agent(each) for each in agents if self.may_know(each.card))

    def matches(self, matches: Iterable[Match]) -> Iterator[Match]:
        """Those that may be known, as they are told."""
        return (replace(each, agent=self.agent(each.agent)) for each in matches if self.may_know(each.agent.card))


@dataclass(slots=True)
class OutsidersWatch:
    """One watch of an outsider, from its snapshot on. What it may not know is told as a sign of life."""

    outsider: Outsider
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
                return InstancePut(shown) if shown else self._forgotten(instance.instance_id)
            case InstanceRemoved(instance_id) if instance_id not in self._told:
                return Heartbeat()
        return body

    def _forgotten(self, instance_id: str) -> InstanceRemoved | Heartbeat:
        """An instance that turns to other tenants is gone for those who knew it."""
        if instance_id not in self._told:
            return Heartbeat()
        self._told.remove(instance_id)
        return InstanceRemoved(instance_id, RemovalReason.DEREGISTERED)

    def _shown(self, instances: Iterable[Instance]) -> Iterator[Instance]:
        for each in instances:
            if self.outsider.may_know(each.card):
                self._told.add(each.instance_id)
                yield _without_address(each)


def _without_address(instance: Instance) -> Instance:
    return replace(instance, address="")
