"""The processes that serve agents, their leases, and how the registry tells of changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmos_grpc.domain.card import AgentCard, AgentKey

DEFAULT_LEASE_TTL = timedelta(seconds=10)
EPOCH_START = datetime.fromtimestamp(0, UTC)


class InstanceState(Enum):
    """Whether an instance takes turns."""

    READY = "ready"
    DRAINING = "draining"


class RemovalReason(Enum):
    """Why an instance is gone."""

    DEREGISTERED = "deregistered"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of an instance to be routed to, for `ttl` from each renewal. `epoch` fences off predecessors."""

    instance_id: str
    epoch: int
    ttl: timedelta = DEFAULT_LEASE_TTL


@dataclass(frozen=True, slots=True)
class Load:
    """How busy an instance is; `capacity` 0 means not said."""

    active_turns: int = 0
    capacity: int = 0


@dataclass(frozen=True, slots=True)
class Instance:
    """One process that serves an agent at `address` (`host:port`)."""

    instance_id: str
    address: str
    card: AgentCard
    lease: Lease
    state: InstanceState = InstanceState.READY
    load: Load = field(default_factory=Load)
    registered_at: datetime = EPOCH_START

    @property
    def key(self) -> AgentKey:
        """The agent that it is an instance of."""
        return self.card.key


@dataclass(frozen=True, slots=True)
class Agent:
    """All live instances of one name, version and subset, with the card of the newest."""

    card: AgentCard
    instances: tuple[Instance, ...]

    @property
    def key(self) -> AgentKey:
        """What tells it from other agents."""
        return self.card.key

    @property
    def ready(self) -> bool:
        """Whether any instance takes turns."""
        return any(instance.state is InstanceState.READY for instance in self.instances)


@dataclass(frozen=True, slots=True)
class SnapshotPart:
    """A part of the registry as a whole. With the last part the reader forgets what was in none."""

    instances: tuple[Instance, ...]
    first: bool
    last: bool


@dataclass(frozen=True, slots=True)
class InstancePut:
    """An instance is new or changed; this is all of it."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class InstanceRemoved:
    """An instance is gone."""

    instance_id: str
    reason: RemovalReason


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing changed; the watch is alive."""


@dataclass(frozen=True, slots=True)
class RegistryUpdate:
    """One message of a watch. `resume_token` continues after it."""

    revision: int
    resume_token: str
    body: SnapshotPart | InstancePut | InstanceRemoved | Heartbeat
