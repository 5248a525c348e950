"""The clock of leases."""

from __future__ import annotations

import pytest

from lmos_grpc.discovery.lease_clock import LeaseClock
from tests.fakes.hand_clock import HandClock


def test_it_counts_the_time_between_readings() -> None:
    source = HandClock()
    clock = LeaseClock(source)
    for _ in range(10):
        source.advance(0.5)
        clock.read()
    assert clock.read() == pytest.approx(5.0)


def test_a_pause_counts_only_its_beginning() -> None:
    source = HandClock()
    clock = LeaseClock(source)
    source.advance(3_600)
    assert clock.read() == pytest.approx(1.0)


def test_a_source_that_steps_back_does_not_turn_time_back() -> None:
    source = HandClock()
    clock = LeaseClock(source)
    source.advance(0.5)
    before = clock.read()
    source.advance(-100)
    assert clock.read() == before
