"""The registry: who is alive, under which lease, and what changed."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lmos_grpc.clients.live_view import LiveView
from lmos_grpc.discovery.catalogue import Catalogue
from lmos_grpc.discovery.change_log import DEFAULT_CAPACITY, ChangeLog
from lmos_grpc.discovery.fencing import check_free, current, is_held
from lmos_grpc.discovery.lease_clock import LONGEST_WAIT, LeaseClock
from lmos_grpc.discovery.lease_table import LeaseTable
from lmos_grpc.discovery.registry_store import RegistryState
from lmos_grpc.discovery.watch import Watch, WatchSettings
from lmos_grpc.domain.instance import (
    InstancePut,
    InstanceRemoved,
    Load,
    RegistryUpdate,
    RemovalReason,
    SnapshotPart,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.discovery.registration import Registration
    from lmos_grpc.domain.instance import Instance, InstanceState, Lease

_LOG = logging.getLogger(__name__)
_IDLE = Load()


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """`log_capacity` is how many changes a watcher can be away and still go on without a snapshot."""

    watch: WatchSettings = field(default_factory=WatchSettings)
    log_capacity: int = DEFAULT_CAPACITY


@dataclass(frozen=True, slots=True)
class RegistryCounts:
    """How many agents and instances hold a lease."""

    agents: int
    instances: int


class Registry:
    """All instances with their leases. Not thread-safe: one event loop uses it.

    Registrations are taken as they are; `RegistrationVerifier` checks what comes from outside.
    Every change counts the revision up by one and reaches watchers and listeners at once. A renewal is no change:
    the load that it brings shows in `catalogue` and in the next change or snapshot.

    Epochs come from one counter for all instances, so that those of one instance grow even across its expiry,
    without a memory of who is gone.
    """

    def __init__(
        self,
        state: RegistryState | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], datetime] = _now,
        settings: RegistrySettings = RegistrySettings(),
    ) -> None:
        state = state or RegistryState(uuid.uuid4().hex)
        self.registry_id = state.registry_id
        self._last_epoch = state.last_epoch
        self._clock = LeaseClock(clock)
        self._wall_clock = wall_clock
        self._settings = settings
        self._log = ChangeLog(state.registry_id, state.revision, capacity=settings.log_capacity)
        self._leases = LeaseTable()
        self._view = LiveView()
        self._listeners: list[Callable[[RegistryUpdate], None]] = []
        self._holding = False
        self.catalogue = Catalogue(self._view)
        self._take_over(state)

    @property
    def revision(self) -> int:
        """The number of the last change."""
        return self._log.revision

    @property
    def state(self) -> RegistryState:
        """Everything that has to outlive this process."""
        return RegistryState(self.registry_id, self.revision, self._last_epoch, self.instances())

    @property
    def counts(self) -> RegistryCounts:
        """How much it holds."""
        return RegistryCounts(len(self._view.agents), len(self._leases))

    def instances(self) -> tuple[Instance, ...]:
        """All instances that hold a lease."""
        return tuple(instance for agent in self._view.agents.values() for instance in agent.instances)

    def subscribe(self, listener: Callable[[RegistryUpdate], None]) -> None:
        """Calls the listener with every change from now on, at once and on the loop."""
        self._listeners.append(listener)

    def holds(self, registration: Registration) -> bool:
        """Whether the very same registration holds a live lease, so that registering it again changes nothing."""
        return is_held(self._view.instance(registration.instance_id), registration)

    def check_free(self, registration: Registration) -> None:
        """Checks that no live lease is in the way.

        Raises:
            StaleEpochError: the epoch is older than that of the live lease.
            DuplicateInstanceError: the instance is live at another address.
        """
        check_free(self._view.instance(registration.instance_id), registration)

    def register(self, registration: Registration) -> Lease:
        """Gives a lease under a new epoch, or renews the one that the very same registration holds.

        Raises:
            StaleEpochError: the epoch is older than that of the live lease.
            DuplicateInstanceError: the instance is live at another address.
        """
        known = self._view.instance(registration.instance_id)
        check_free(known, registration)
        if known is not None and is_held(known, registration):
            self._leases.renew(known.instance_id, now=self._clock.read())
            return known.lease
        self._last_epoch = max(self._last_epoch, registration.epoch) + 1
        instance = registration.instance(epoch=self._last_epoch, registered_at=self._wall_clock())
        self._grant(instance)
        self._publish(InstancePut(instance))
        return instance.lease

    def renew(self, instance_id: str, epoch: int, load: Load = _IDLE) -> Lease:
        """Begins the time of a lease anew.

        Raises:
            LeaseNotFoundError: the lease is not live; register again.
            StaleEpochError: a newer registration of the instance took over.
        """
        known = current(self._view.instance(instance_id), instance_id, epoch)
        self._leases.renew(instance_id, now=self._clock.read())
        if known.load != load:
            self._view.apply(RegistryUpdate(self.revision, "", InstancePut(replace(known, load=load))))
        return known.lease

    def update_state(self, instance_id: str, epoch: int, state: InstanceState, load: Load = _IDLE) -> Instance:
        """Sets state and load, and renews the lease. Raises as `renew` does."""
        self.renew(instance_id, epoch, load)
        known = current(self._view.instance(instance_id), instance_id, epoch)
        if known.state is state:
            return known
        changed = replace(known, state=state)
        self._publish(InstancePut(changed))
        return changed

    def deregister(self, instance_id: str, epoch: int) -> None:
        """Ends a lease; one that is not live is no error.

        Raises:
            StaleEpochError: a newer registration of the instance took over, and stays.
        """
        known = self._view.instance(instance_id)
        if known is None or epoch > known.lease.epoch:
            return
        current(known, instance_id, epoch)
        self._leases.drop(instance_id)
        self._publish(InstanceRemoved(instance_id, RemovalReason.DEREGISTERED))

    def expire_due(self) -> tuple[str, ...]:
        """Removes the instances whose leases ran out, and gives their ids."""
        gone = self._leases.expire(self._clock.read())
        for instance_id in gone:
            self._publish(InstanceRemoved(instance_id, RemovalReason.EXPIRED))
        self._tell_holding()
        return gone

    def watch(self, resume_token: str = "") -> Watch:
        """A snapshot, or what came after the token, and then every change: a `RegistryFeed` in process."""
        return Watch(self._log, self.instances, resume_token, self._settings.watch)

    async def run(self) -> None:
        """Lets leases run out in time, for ever."""
        while True:
            wakeup, now = self._leases.next_wakeup, self._clock.read()
            longest = LONGEST_WAIT.total_seconds()
            await asyncio.sleep(longest if wakeup is None else min(max(wakeup - now, 0.0), longest))
            self.expire_due()

    def _take_over(self, state: RegistryState) -> None:
        # Everybody gets a fresh lease: who is alive renews it and was never gone, who died meanwhile runs out.
        self._view.apply(RegistryUpdate(state.revision, "", SnapshotPart(state.instances, first=True, last=True)))
        for instance in state.instances:
            self._grant(instance)

    def _grant(self, instance: Instance) -> None:
        self._leases.grant(instance.instance_id, ttl=instance.lease.ttl.total_seconds(), now=self._clock.read())

    def _publish(self, body: InstancePut | InstanceRemoved) -> None:
        update = self._log.append(body)
        self._view.apply(update)
        for listener in tuple(self._listeners):
            listener(update)

    def _tell_holding(self) -> None:
        if self._leases.holding is self._holding:
            return
        self._holding = self._leases.holding
        if self._holding:
            _LOG.warning(
                "%d of %d leases missed their renewals at once; they are held, because the way to discovery is "
                "likelier broken than all of them",
                self._leases.late,
                len(self._leases),
            )
        else:
            _LOG.warning("leases run out as usual again: %d of %d are late", self._leases.late, len(self._leases))
