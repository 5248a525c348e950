"""The rules for what an instance says when it registers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from lmos_grpc.discovery.registration import check_address, check_registration
from lmos_grpc.domain.card import AgentCard, Capability
from lmos_grpc.errors import InvalidCardError, InvalidRequestError
from tests.fakes.registrations import card, registration


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:80", "localhost:65535", "billing.svc.cluster.local:9000", "[::1]:9000", "agent_1:1", "a-b.c:9"],
)
def test_an_address_that_can_be_dialled_is_taken(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "", ":", "host", "host:", ":9000", "host:0", "host:65536", "host:99999999999999", "host:-1", "host:9000 ",
        "ho st:9000", "host:٣", "::1:9000", "[::1:9000", "[host]:9000", "1.2.3:9000", "1.2.3.4.5:9000",
        "256.1.1.1:9000",
        "http://host:9000", "user@host:9000", "-host:9000", "host-:9000", "host..name:9000", "a" * 300 + ":9000",
        "host\n:9000", "unix:/tmp/socket", "bücher:9000",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InvalidRequestError, match="address: "):
        check_address(address)


@pytest.mark.parametrize("address", ["0.0.0.0:9000", "[::]:9000"])
def test_an_address_to_listen_on_is_refused(address: str) -> None:
    with pytest.raises(InvalidRequestError, match="others can dial"):
        check_address(address)


@pytest.mark.parametrize("instance_id", ["", "a b", "ä", "a" * 129, "a/b", "a\n"])
def test_an_instance_id_outside_the_rules_is_refused(instance_id: str) -> None:
    with pytest.raises(InvalidRequestError, match="instance_id"):
        check_registration(registration(instance_id))


@pytest.mark.parametrize("seconds", [-1, 0, 0.5, 301, 10**9])
def test_a_ttl_outside_the_limits_is_refused(seconds: float) -> None:
    with pytest.raises(InvalidRequestError, match="ttl"):
        check_registration(registration(ttl=timedelta(seconds=seconds)))


@pytest.mark.parametrize("epoch", [-1, 2**63 - 1])
def test_an_epoch_that_was_never_given_is_refused(epoch: int) -> None:
    with pytest.raises(InvalidRequestError, match="epoch"):
        check_registration(registration(epoch=epoch))


def test_what_is_wrong_with_a_card_is_told_and_its_fields_are_named() -> None:
    bad = AgentCard("Billing!", "one", capabilities=(Capability("explain bill", "1"),))
    with pytest.raises(InvalidCardError, match=r"'Billing!' is not valid: name: .* and 1 more") as refused:
        check_registration(replace(registration(), card=bad))
    fields = refused.value.metadata["fields"].split(",")
    assert fields == ["name", "version", "capabilities[explain bill].id", "capabilities[explain bill].version"]


@pytest.mark.parametrize("name", ["x" * 1_000_000, "ü" * 1_000_000, "\n" * 5_000])
def test_an_error_about_a_huge_value_stays_small(name: str) -> None:
    with pytest.raises(InvalidCardError) as refused:
        check_registration(replace(registration(), card=card(name, "v" * 100_000)))
    assert len(refused.value.message) < 1_000
    assert refused.value.message.isascii()
    assert all(len(value) <= 256 and value.isascii() for value in refused.value.metadata.values())


@pytest.mark.parametrize(
    "version", ["", "1", "1.0", "v1.0.0", "1.0.0\n", "\u0661.0.0", "1.0.0-", "01.0.0", f"1.0.{'9' * 64}"]
)
def test_a_card_with_a_version_that_is_none_is_refused(version: str) -> None:
    with pytest.raises(InvalidCardError, match="version: "):
        check_registration(registration(of=card(version=version)))
    with pytest.raises(InvalidCardError, match="version: "):
        check_registration(registration(of=card(capabilities=(Capability("pay", version),))))


@pytest.mark.parametrize("version", ["1.0.0", "1.2.3-rc.1+build.5", "0.0.0-alpha"])
def test_a_semantic_version_is_taken(version: str) -> None:
    check_registration(registration(of=card(version=version)))
