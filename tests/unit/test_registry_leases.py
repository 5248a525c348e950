"""Registration, renewal, epochs and expiry in the registry."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

import pytest

from lmos_grpc.discovery import RegistryState
from lmos_grpc.domain.instance import InstanceState, Load
from lmos_grpc.errors import DuplicateInstanceError, LeaseNotFoundError, StaleEpochError
from tests.fakes.registrations import TTL, TimedRegistry, card, registration


def test_registering_gives_a_lease_and_shows_the_instance() -> None:
    registry = TimedRegistry().registry
    lease = registry.register(registration())
    assert (lease.instance_id, lease.epoch, lease.ttl) == ("billing-1", 1, TTL)
    assert [each.address for each in registry.instances()] == ["127.0.0.1:9000"]
    assert registry.counts.agents == registry.counts.instances == registry.revision == 1


def test_registering_the_same_again_renews_the_lease_and_changes_nothing() -> None:
    timed = TimedRegistry()
    lease = timed.registry.register(registration())
    timed.pass_time(9)
    assert timed.registry.register(registration()) == lease
    assert timed.registry.revision == 1
    assert timed.pass_time(9) == []


@pytest.mark.parametrize(
    "changed", [registration(of=card(version="2.0.0")), registration(ttl=timedelta(seconds=30))], ids=["card", "ttl"]
)
def test_registering_something_new_at_the_same_address_takes_over_under_a_new_epoch(
    changed: object,
) -> None:
    registry = TimedRegistry().registry
    registry.register(registration())
    assert registry.register(changed).epoch == 2  # type: ignore[arg-type]
    assert registry.counts.instances == 1


def test_an_instance_that_drained_is_ready_after_it_registers_again() -> None:
    registry = TimedRegistry().registry
    lease = registry.register(registration())
    registry.update_state("billing-1", lease.epoch, InstanceState.DRAINING)
    assert registry.register(registration()).epoch == 2
    assert registry.instances()[0].state is InstanceState.READY


def test_the_same_id_at_another_address_is_refused_while_the_lease_is_live() -> None:
    timed = TimedRegistry()
    timed.registry.register(registration())
    other = registration(address="127.0.0.1:9999")
    with pytest.raises(DuplicateInstanceError, match=r"live at 127\.0\.0\.1:9000"):
        timed.registry.register(other)
    timed.pass_time(11)
    assert timed.registry.register(other).epoch == 2


def test_an_instance_that_stops_renewing_expires() -> None:
    timed = TimedRegistry()
    first, _ = timed.register(2)
    assert timed.pass_time(12, renewing=[first]) == ["billing-1"]
    assert [each.instance_id for each in timed.registry.instances()] == ["billing-0"]


def test_a_lease_that_ran_out_cannot_be_renewed() -> None:
    timed = TimedRegistry()
    lease = timed.registry.register(registration())
    timed.pass_time(11)
    with pytest.raises(LeaseNotFoundError, match="register again"):
        timed.registry.renew(lease.instance_id, lease.epoch)


def test_a_paused_agent_that_wakes_cannot_touch_its_successor() -> None:
    timed = TimedRegistry()
    registry = timed.registry
    paused = registry.register(registration())
    timed.pass_time(11)
    successor = registry.register(registration(address="127.0.0.1:9001"))

    with pytest.raises(StaleEpochError):
        registry.renew("billing-1", paused.epoch)
    with pytest.raises(StaleEpochError):
        registry.update_state("billing-1", paused.epoch, InstanceState.DRAINING)
    with pytest.raises(StaleEpochError):
        registry.deregister("billing-1", paused.epoch)
    with pytest.raises(StaleEpochError):
        registry.register(registration(epoch=paused.epoch))
    with pytest.raises(DuplicateInstanceError):
        registry.register(registration())
    assert [each.lease for each in registry.instances()] == [successor]


def test_epochs_grow_across_expiry_and_deregistration() -> None:
    timed = TimedRegistry()
    epochs = []
    for _ in range(3):
        lease = timed.registry.register(registration())
        timed.registry.deregister("billing-1", lease.epoch)
        epochs.append(timed.registry.register(registration()).epoch)
        timed.pass_time(11)
    assert epochs == sorted(set(epochs))


def test_whoever_held_a_later_epoch_than_the_registry_knows_takes_over() -> None:
    registry = TimedRegistry().registry
    registry.register(registration())
    assert registry.register(registration(address="127.0.0.1:9001", epoch=7)).epoch == 8
    assert registry.register(registration("other", "127.0.0.1:9002")).epoch == 9


def test_deregistering_twice_is_no_error() -> None:
    registry = TimedRegistry().registry
    lease = registry.register(registration())
    registry.deregister("billing-1", lease.epoch)
    registry.deregister("billing-1", lease.epoch)
    assert (registry.revision, registry.instances()) == (2, ())


def test_a_renewal_brings_the_load_and_is_no_change() -> None:
    registry = TimedRegistry().registry
    lease = registry.register(registration())
    registry.renew("billing-1", lease.epoch, Load(3, 10))
    assert registry.instances()[0].load == Load(3, 10)
    assert registry.revision == 1


def test_a_registry_that_was_stopped_for_an_hour_expires_nobody_when_it_wakes() -> None:
    timed = TimedRegistry()
    leases = timed.register(3)
    timed.pass_time(8)
    timed.stall(3_600)
    assert timed.registry.expire_due() == ()
    assert timed.pass_time(30, renewing=leases) == []


def test_who_died_while_the_registry_was_stopped_still_expires() -> None:
    timed = TimedRegistry()
    leases = timed.register(3)
    timed.stall(3_600)
    assert timed.pass_time(12, renewing=leases[1:]) == ["billing-0"]


def test_the_begin_and_the_end_of_self_preservation_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lmos_grpc.discovery")
    timed = TimedRegistry()
    leases = timed.register(10)
    assert timed.pass_time(60) == []
    assert len(caplog.messages) == 1
    assert "10 of 10 leases missed their renewals" in caplog.messages[0]
    assert timed.pass_time(30, renewing=leases) == []
    assert len(caplog.messages) == 2
    assert "run out as usual again" in caplog.messages[1]


def test_after_a_restart_everybody_holds_a_fresh_lease_and_the_dead_run_out() -> None:
    before = TimedRegistry()
    alive, _ = before.register(2)
    before.pass_time(9)

    after = TimedRegistry(before.registry.state)
    assert after.registry.revision == 2
    assert after.pass_time(9.5) == []
    after.registry.renew(alive.instance_id, alive.epoch)
    assert after.pass_time(5) == ["billing-1"]
    assert after.registry.register(registration("new", "127.0.0.1:9100")).epoch == 3
    assert after.registry.revision == 4


def test_five_thousand_instances_register_quickly() -> None:
    timed = TimedRegistry(RegistryState("test"))
    before = time.process_time()
    for number in range(5_000):
        of = card(f"agent-{number % 500}")
        timed.registry.register(registration(f"i-{number}", f"10.0.0.1:{1_000 + number}", of))
    assert timed.registry.counts.agents == 500
    assert timed.registry.revision == 5_000
    assert time.process_time() - before < 5
