"""Which leases run out, and which are held."""

from __future__ import annotations

import pytest

from lmos_grpc.discovery.lease_table import LeaseTable

TTL = 9.0


def table_of(count: int, *, ttl: float = TTL) -> LeaseTable:
    table = LeaseTable()
    for number in range(count):
        table.grant(str(number), ttl=ttl, now=0.0)
    return table


def run(table: LeaseTable, *, until: float, alive: range, start: float = 0.0) -> set[str]:
    """Renews the living every 3 s, each at its own moment, and gives who ran out."""
    gone: set[str] = set()
    for step in range(round((until - start) * 10)):
        now = start + step / 10
        for number in alive:
            if step % 30 == number % 30 and str(number) in table:
                table.renew(str(number), now=now)
        gone.update(table.expire(now))
    return gone


def test_a_lease_runs_out_when_its_time_is_over_and_not_before() -> None:
    table = table_of(1)
    assert table.expire(TTL - 0.01) == ()
    assert table.expire(TTL) == ("0",)
    assert len(table) == 0


def test_a_renewal_begins_the_time_anew() -> None:
    table = table_of(1)
    table.renew("0", now=8.0)
    assert table.expire(16.9) == ()
    assert table.expire(17.0) == ("0",)


def test_a_lease_that_is_granted_anew_takes_the_new_time() -> None:
    table = table_of(1)
    table.grant("0", ttl=100.0, now=1.0)
    assert table.expire(50.0) == ()
    assert table.expire(101.0) == ("0",)


def test_a_dropped_lease_does_not_run_out() -> None:
    table = table_of(2)
    table.drop("0")
    assert table.expire(TTL) == ("1",)


def test_leases_with_different_times_run_out_in_their_order() -> None:
    table = LeaseTable()
    table.grant("slow", ttl=300.0, now=0.0)
    table.grant("fast", ttl=1.0, now=0.0)
    assert table.next_wakeup == pytest.approx(0.6)
    assert table.expire(1.0) == ("fast",)
    assert table.expire(300.0) == ("slow",)


@pytest.mark.parametrize("total", [1, 2, 3, 5, 6, 20])
def test_a_single_dead_agent_runs_out_however_small_the_mesh_is(total: int) -> None:
    assert run(table_of(total), until=TTL + 3, alive=range(1, total)) == {"0"}


@pytest.mark.parametrize("total", [2, 4])
def test_in_a_handful_of_instances_all_may_run_out(total: int) -> None:
    assert len(run(table_of(total), until=TTL + 1, alive=range(0))) == total


def test_when_everybody_is_silent_nobody_runs_out() -> None:
    table = table_of(100)
    run(table, until=30, alive=range(100))
    assert run(table, until=600, alive=range(0), start=30) == set()
    assert table.holding
    assert table.late == 100


def test_the_first_that_is_due_in_a_silence_is_held_too() -> None:
    table = table_of(100)
    run(table, until=31.5, alive=range(100))
    assert run(table, until=31.5 + TTL, alive=range(0), start=31.5) == set()


def test_when_renewals_come_again_the_dead_run_out_and_the_living_stay() -> None:
    table = table_of(100)
    run(table, until=60, alive=range(0))
    assert run(table, until=60 + TTL, alive=range(10, 100), start=60) == set()
    gone = run(table, until=63 + TTL, alive=range(10, 100), start=60 + TTL)
    assert gone == {str(number) for number in range(10)}
    assert not table.holding


def test_a_silent_minority_is_held_for_six_times_its_lease_and_then_goes() -> None:
    table = table_of(20)
    living = range(6, 20)
    assert run(table, until=6 * TTL - 0.1, alive=living) == set()
    assert table.holding
    assert run(table, until=6 * TTL + 1, alive=living, start=6 * TTL - 0.1) == {str(number) for number in range(6)}
    assert not table.holding


def test_renewals_do_not_pile_up() -> None:
    table = table_of(10)
    for step in range(10_000):
        table.renew(str(step % 10), now=step / 1_000)
    assert len(table._wakeups) == 10
