"""The small parts of the SDK: pauses, addresses, names."""

from __future__ import annotations

from datetime import timedelta

import pytest

import lmos_grpc
from lmos_grpc.errors import InvalidConfigurationError
from lmos_grpc.sdk.address import advertised_address
from lmos_grpc.sdk.backoff import Backoff


def test_pauses_double_up_to_two_seconds_and_begin_anew_after_success() -> None:
    backoff = Backoff(lambda: 1.0)
    assert [backoff.next().total_seconds() for _ in range(7)] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    backoff.reset()
    assert backoff.next() == timedelta(milliseconds=100)


def test_jitter_cuts_a_pause_by_up_to_a_half() -> None:
    assert Backoff(lambda: 0.0).next() == timedelta(milliseconds=50)


@pytest.mark.parametrize(
    ("bound", "advertise", "told"),
    [
        ("127.0.0.1:5000", "", "127.0.0.1:5000"),
        ("0.0.0.0:5000", "10.0.0.7", "10.0.0.7:5000"),
        ("0.0.0.0:5000", "agents.example:443", "agents.example:443"),
        ("[::]:5000", "[fd00::7]", "[fd00::7]:5000"),
        ("[::]:5000", "[fd00::7]:6000", "[fd00::7]:6000"),
        ("[::1]:5000", "", "[::1]:5000"),
    ],
)
def test_the_address_that_is_told_to_the_mesh(bound: str, advertise: str, told: str) -> None:
    assert advertised_address(bound, advertise) == told


@pytest.mark.parametrize("bound", ["0.0.0.0:5000", "[::]:5000"])
def test_an_agent_that_listens_everywhere_has_to_say_where_it_is_reached(bound: str) -> None:
    with pytest.raises(InvalidConfigurationError, match="advertise"):
        advertised_address(bound, "")


def test_every_public_name_can_be_had() -> None:
    assert all(getattr(lmos_grpc, name) is not None for name in lmos_grpc.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = lmos_grpc.nonsense
