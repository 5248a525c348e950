"""An agent as an Envoy cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lmos_grpc.control_plane.cluster import Endpoint, cluster_resource, endpoints_of
from lmos_grpc.control_plane.endpoint import split_address
from lmos_grpc.control_plane.envoy_messages import cluster_dict
from lmos_grpc.control_plane.snapshot import Snapshot
from lmos_grpc.domain.instance import Agent, Load
from tests.fakes.registry import DRAINING, FakeRegistry, instance

ROUTE = "billing/1.0.0/stable"
HERE = instance("billing", "127.0.0.1:7001")
THERE = instance("billing", "127.0.0.1:7002")


def cluster(*endpoints: Endpoint) -> dict[str, Any]:
    return cluster_dict(cluster_resource(ROUTE, endpoints).body)


def test_an_agent_is_one_cluster_with_an_endpoint_per_instance() -> None:
    body = cluster(*endpoints_of(Agent(HERE.card, (HERE, THERE))))
    addresses = [
        each["endpoint"]["address"]["socket_address"]["port_value"]
        for each in body["load_assignment"]["endpoints"][0]["lb_endpoints"]
    ]
    assert (body["name"], body["type"], body["lb_policy"], addresses) == (ROUTE, "STATIC", "MAGLEV", [7001, 7002])


def test_a_host_name_makes_envoy_resolve_it() -> None:
    assert cluster(Endpoint("127.0.0.1", 1, draining=False), Endpoint("billing.svc", 1, draining=False))["type"] == (
        "STRICT_DNS"
    )


def test_a_draining_instance_is_marked_and_others_are_not() -> None:
    body = cluster(*endpoints_of(Agent(HERE.card, (HERE, replace(THERE, state=DRAINING)))))
    states = [each.get("health_status") for each in body["load_assignment"]["endpoints"][0]["lb_endpoints"]]
    assert states == [None, "DRAINING"]


def test_two_instances_at_one_address_are_one_endpoint_that_takes_calls() -> None:
    successor = replace(HERE, instance_id="successor")
    agent = Agent(HERE.card, (replace(HERE, state=DRAINING), successor))
    assert endpoints_of(agent) == (Endpoint("127.0.0.1", 7001, draining=False),)


def test_an_instance_without_a_usable_address_is_left_out_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    broken = instance("billing", "nowhere", instance_id="broken-one")
    assert endpoints_of(Agent(HERE.card, (broken, HERE))) == (Endpoint("127.0.0.1", 7001, draining=False),)
    assert "broken-one" in caplog.text


def test_running_streams_are_not_cut_by_regular_pings() -> None:
    options = next(iter(cluster()["typed_extension_protocol_options"].values()))
    keepalive = options["explicit_http_config"]["http2_protocol_options"]["connection_keepalive"]
    assert "interval" not in keepalive


def test_a_version_is_the_same_for_the_same_content_in_any_order_and_differs_for_other_content() -> None:
    one = cluster_resource(ROUTE, endpoints_of(Agent(HERE.card, (HERE, THERE))))
    other_way_round = cluster_resource(ROUTE, endpoints_of(Agent(HERE.card, (THERE, HERE))))
    fewer = cluster_resource(ROUTE, endpoints_of(Agent(HERE.card, (HERE,))))
    assert one == other_way_round
    assert one.version != fewer.version


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:80", ("::1", 80)),
        ("a.b:65535", ("a.b", 65_535)),
        ("a.b:0", None),
        ("a.b:65536", None),
        ("a.b", None),
        (":80", None),
        ("a.b:", None),
        ("a.b:٣", None),
        ("", None),
    ],
)
def test_addresses_are_host_and_port(address: str, parts: tuple[str, int] | None) -> None:
    assert split_address(address) == parts


def test_a_snapshot_builds_a_cluster_anew_only_when_an_endpoint_changed() -> None:
    built: list[str] = []

    def build(name: str, endpoints: tuple[Endpoint, ...]) -> Any:
        built.append(name)
        return cluster_resource(name, endpoints)

    registry = FakeRegistry(HERE)
    snapshot = Snapshot(registry.view.agents, build)
    before = snapshot.resource(ROUTE)
    registry.put(replace(HERE, load=Load(3, 10)))
    assert snapshot.resource(ROUTE) is before
    registry.put(THERE)
    assert snapshot.resource(ROUTE) != before
    assert built == [ROUTE, ROUTE]


def test_a_snapshot_has_no_cluster_for_a_name_that_is_no_live_agent() -> None:
    snapshot = Snapshot(FakeRegistry(HERE).view.agents)
    assert [snapshot.resource(name) for name in ("other/1.0.0/stable", "billing", "*", "")] == [None] * 4
