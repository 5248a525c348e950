"""Whatever agents and time do, the registry keeps its promises."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lmos_grpc.clients.live_view import LiveView
from lmos_grpc.discovery import RegistrySettings, WatchSettings
from lmos_grpc.domain.instance import InstanceState, Load, RegistryUpdate, SnapshotPart
from lmos_grpc.errors import LmosError, StaleEpochError, WatchTooSlowError
from tests.fakes.registrations import TimedRegistry, card, registration

if TYPE_CHECKING:
    from lmos_grpc.domain.instance import Instance, Lease

IDS = st.sampled_from(["a", "b", "c", "d", "e", "f"])
ADDRESSES = st.sampled_from(["127.0.0.1:1", "127.0.0.1:2"])
VERSIONS = st.sampled_from(["1.0.0", "2.0.0"])
STATES = st.sampled_from(InstanceState)
SETTINGS = RegistrySettings(WatchSettings(heartbeat=timedelta(0), max_lag=10), log_capacity=20)


def without_load(instances: tuple[Instance, ...]) -> dict[str, Instance]:
    """Instances by id; their load comes with renewals, which are no changes."""
    return {each.instance_id: replace(each, load=Load()) for each in instances}


class RegistryMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.timed = TimedRegistry(settings=SETTINGS)
        self.revisions: list[int] = []
        self.timed.registry.subscribe(lambda update: self.revisions.append(update.revision))
        # Where readers stopped: the token, and what they knew then.
        self.stops: list[tuple[str, tuple[Instance, ...]]] = [("", ())]
        self.live: dict[str, Lease] = {}
        self.past: list[Lease] = []
        self.renewed_at: dict[str, float] = {}
        self.epochs: dict[str, int] = {}

    @rule(instance_id=IDS, address=ADDRESSES, version=VERSIONS)
    def register(self, instance_id: str, address: str, version: str) -> None:
        try:
            lease = self.timed.registry.register(registration(instance_id, address, card(version=version)))
        except LmosError:
            assert instance_id in self.live
            return
        if self.live.get(instance_id) != lease:
            assert lease.epoch > self.epochs.get(instance_id, 0)
        self.epochs[instance_id] = lease.epoch
        self.live[instance_id] = lease
        self.past.append(lease)
        self.renewed_at[instance_id] = self.timed.clock.now

    @precondition(lambda self: self.past)
    @rule(data=st.data(), load=st.builds(Load, st.integers(0, 3)))
    def renew(self, data: st.DataObject, load: Load) -> None:
        lease = data.draw(st.sampled_from(self.past))
        try:
            self.timed.registry.renew(lease.instance_id, lease.epoch, load)
        except LmosError:
            assert self.live.get(lease.instance_id) != lease
        else:
            assert self.live[lease.instance_id] == lease
            self.renewed_at[lease.instance_id] = self.timed.clock.now

    @precondition(lambda self: self.past)
    @rule(data=st.data(), state=STATES)
    def update_state(self, data: st.DataObject, state: InstanceState) -> None:
        lease = data.draw(st.sampled_from(self.past))
        try:
            self.timed.registry.update_state(lease.instance_id, lease.epoch, state)
        except LmosError:
            assert self.live.get(lease.instance_id) != lease
        else:
            self.renewed_at[lease.instance_id] = self.timed.clock.now

    @precondition(lambda self: self.past)
    @rule(data=st.data())
    def deregister(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.past))
        try:
            self.timed.registry.deregister(lease.instance_id, lease.epoch)
        except StaleEpochError:
            assert self.live[lease.instance_id].epoch > lease.epoch
        else:
            if self.live.get(lease.instance_id) == lease:
                del self.live[lease.instance_id]

    @rule(ticks=st.integers(1, 30))
    def time_passes(self, ticks: int) -> None:
        for _ in range(ticks):
            self.timed.clock.advance(0.5)
            self._expire()

    @rule(seconds=st.floats(2, 10_000))
    def the_process_stalls(self, seconds: float) -> None:
        # Nobody could renew meanwhile: only the first second counts.
        self.timed.stall(seconds)
        for instance_id in self.renewed_at:
            self.renewed_at[instance_id] += seconds - 1
        self._expire()

    @rule()
    def the_process_restarts(self) -> None:
        self.timed = TimedRegistry(self.timed.registry.state, SETTINGS, self.timed.clock)
        self.timed.registry.subscribe(lambda update: self.revisions.append(update.revision))
        self.renewed_at = dict.fromkeys(self.live, self.timed.clock.now)

    @rule(data=st.data())
    def a_reader_goes_on_where_it_stopped(self, data: st.DataObject) -> None:
        token, known = data.draw(st.sampled_from(self.stops))
        view = LiveView()
        view.apply(RegistryUpdate(-1, token, SnapshotPart(known, first=True, last=True)))
        token = asyncio.run(self._catch_up(view, token))
        seen = tuple(instance for agent in view.agents.values() for instance in agent.instances)
        assert without_load(seen) == without_load(self.timed.registry.instances())
        self.stops.append((token, seen))

    @invariant()
    def revisions_are_dense(self) -> None:
        assert self.revisions == list(range(1, len(self.revisions) + 1))
        assert self.timed.registry.revision == len(self.revisions)

    @invariant()
    def the_registry_holds_who_should_be_live(self) -> None:
        assert {each.instance_id: each.lease for each in self.timed.registry.instances()} == self.live

    def _expire(self) -> None:
        now = self.timed.clock.now
        for instance_id in self.timed.registry.expire_due():
            assert now - self.renewed_at[instance_id] >= 10 - 1e-6, "nobody expires before time"
            del self.live[instance_id]
        overdue = [each for each in self.live if now - self.renewed_at[each] >= 11]
        # Self-preservation needs five leases, of which three are late.
        assert not overdue or (len(self.live) >= 3 and len(self.revisions) >= 5), "nobody stays after time"

    async def _catch_up(self, view: LiveView, token: str) -> str:
        watch = self.timed.registry.watch(token)
        cuts = 0
        while not (token and view.revision == self.timed.registry.revision):
            try:
                update = await anext(watch)
            except WatchTooSlowError as cut:
                cuts += 1
                assert cuts == 1, "who reads at once after being cut off is not cut off again"
                watch = self.timed.registry.watch(cut.metadata["resume_token"])
            else:
                view.apply(update)
                token = update.resume_token
        return token


RegistryMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestRegistry = RegistryMachine.TestCase
