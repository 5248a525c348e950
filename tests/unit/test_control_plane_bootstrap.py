"""Envoy's bootstrap, filled in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lmos_grpc.control_plane.bootstrap import EnvoySettings, render_bootstrap
from lmos_grpc.errors import InvalidConfigurationError

SETTINGS = EnvoySettings(
    orchestrator=("127.0.0.1:9001", "127.0.0.1:9002"),
    discovery=("discovery.svc:9003",),
    conversation=("127.0.0.1:9001",),
    reflection=("127.0.0.1:9001",),
    ads=("127.0.0.1:9004",),
)


LOG = Path("access.json")
INVOKE = "/lmos.agent.v1.AgentService/Invoke"
CONVERSE = "/lmos.agent.v1.AgentService/Converse"


def rendered(settings: EnvoySettings = SETTINGS) -> dict[str, Any]:
    bootstrap: dict[str, Any] = yaml.safe_load(render_bootstrap(settings))
    return bootstrap


def clusters(bootstrap: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each for each in bootstrap["static_resources"]["clusters"]}


def connection_managers(bootstrap: dict[str, Any]) -> dict[str, Any]:
    listeners = bootstrap["static_resources"]["listeners"]
    return {each["name"]: each["filter_chains"][0]["filters"][0]["typed_config"] for each in listeners}


def test_no_placeholder_is_left() -> None:
    assert "${" not in render_bootstrap(replace(SETTINGS, otlp="127.0.0.1:4317", access_log=LOG))


def test_addresses_become_endpoints_and_ports_are_numbers() -> None:
    bootstrap = rendered(replace(SETTINGS, edge_host="0.0.0.0", edge_port=8443))  # noqa: S104 - only rendered
    edge = bootstrap["static_resources"]["listeners"][0]["address"]["socket_address"]
    assert edge == {"address": "0.0.0.0", "port_value": 8443}  # noqa: S104 - only rendered
    found = clusters(bootstrap)
    assert len(found["orchestrator"]["load_assignment"]["endpoints"][0]["lb_endpoints"]) == 2
    assert (found["orchestrator"]["type"], found["discovery"]["type"]) == ("STATIC", "STRICT_DNS")


def test_admin_is_on_loopback_whatever_the_listeners_are_on() -> None:
    bootstrap = rendered(replace(SETTINGS, edge_host="0.0.0.0", internal_host="0.0.0.0"))  # noqa: S104 - only rendered
    assert bootstrap["admin"]["address"]["socket_address"]["address"] == "127.0.0.1"


def test_without_a_trace_store_nothing_is_traced() -> None:
    bootstrap = rendered()
    assert "otlp" not in clusters(bootstrap)
    assert all("tracing" not in each for each in connection_managers(bootstrap).values())


def test_each_listener_traces_under_its_own_name() -> None:
    bootstrap = rendered(replace(SETTINGS, otlp="127.0.0.1:4317"))
    names = [
        each["tracing"]["provider"]["typed_config"]["service_name"] for each in connection_managers(bootstrap).values()
    ]
    assert names == ["lmos-edge", "lmos-internal"]
    assert "otlp" in clusters(bootstrap)


def test_an_access_log_is_off_unless_a_file_is_named() -> None:
    assert all("access_log" not in each for each in connection_managers(rendered()).values())
    logged = connection_managers(rendered(replace(SETTINGS, access_log=LOG)))
    assert [each["access_log"][0]["typed_config"]["path"] for each in logged.values()] == ["access.json"] * 2


def test_origins_are_those_that_are_allowed() -> None:
    manager = connection_managers(rendered(replace(SETTINGS, allowed_origins=("https://a.example",))))["edge"]
    policy = manager["route_config"]["virtual_hosts"][0]["typed_per_filter_config"]["envoy.filters.http.cors"]
    assert policy["allow_origin_string_match"] == [{"exact": "https://a.example"}]


def test_no_route_ends_a_turn_on_its_own() -> None:
    for manager in connection_managers(rendered()).values():
        assert (manager["stream_idle_timeout"], manager["request_timeout"]) == ("0s", "0s")
        for route in manager["route_config"]["virtual_hosts"][0]["routes"]:
            if "route" in route:
                assert (route["route"]["timeout"], route["route"]["idle_timeout"]) == ("0s", "0s")


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1", "127.0.0.1:", ":1", "127.0.0.1:70000", "a: {b: c}"])
def test_an_address_that_is_none_is_named(address: str) -> None:
    with pytest.raises(InvalidConfigurationError, match="discovery") as raised:
        render_bootstrap(replace(SETTINGS, discovery=("127.0.0.1:1", address)))
    assert address in str(raised.value)


def test_a_listener_on_a_name_is_refused() -> None:
    with pytest.raises(InvalidConfigurationError, match="'localhost'"):
        render_bootstrap(replace(SETTINGS, edge_host="localhost"))


def test_a_part_without_an_address_is_named() -> None:
    with pytest.raises(InvalidConfigurationError, match="ads"):
        render_bootstrap(replace(SETTINGS, ads=()))


def test_a_value_cannot_change_the_structure() -> None:
    hostile = 'x"\n- {name: evil}\n#'
    assert rendered(replace(SETTINGS, node_id=hostile))["node"]["id"] == hostile


def test_every_request_of_one_message_is_taken_whole_and_no_stream() -> None:
    bootstrap = rendered(replace(SETTINGS, express=("127.0.0.1:9005",)))
    routes = connection_managers(bootstrap)["edge"]["route_config"]["virtual_hosts"][0]["routes"]
    asked = [each for each in routes if "cluster" in each.get("route", {})]
    whole = [each for each in asked if "http.buffer" in str(each.get("typed_per_filter_config"))]
    assert {str(each["match"]) for each in asked if each not in whole} == {
        str(each["match"])
        for each in asked
        if each["match"].get("path") == CONVERSE or "grpc." in each["match"].get("prefix", "")
    }


def test_without_a_router_there_is_nothing_of_the_express_lane() -> None:
    text = render_bootstrap(SETTINGS)
    assert not [each for each in ("ext_authz", "express") if each in text]


def test_with_a_router_the_express_lane_is_for_invoke_at_the_edge_and_checks_come_before_it() -> None:
    bootstrap = rendered(replace(SETTINGS, express=("127.0.0.1:9005", "127.0.0.1:9006")))
    assert len(clusters(bootstrap)["express"]["load_assignment"]["endpoints"][0]["lb_endpoints"]) == 2
    managers = connection_managers(bootstrap)
    names = [each["name"].removeprefix("envoy.filters.http.") for each in managers["edge"]["http_filters"]]
    assert names == [
        *("header_mutation", "cors", "grpc_web", "grpc_json_transcoder"),
        *("buffer", "ext_authz", "on_demand", "router"),
    ]
    routes = managers["edge"]["route_config"]["virtual_hosts"][0]["routes"]
    shown = [each for each in routes if "ext_authz" in str(each.get("typed_per_filter_config"))]
    assert [each["match"]["path"] for each in shown] == [INVOKE, CONVERSE]
    # Of a session the router sees no message, and only of one that names its agent anything at all.
    assert "'disable_request_body_buffering': True" in str(shown[1]["typed_per_filter_config"])
    assert [each["name"] for each in shown[1]["match"]["headers"]] == ["x-lmos-agent"]
    straight, asked = (each for each in routes if each["match"].get("path") == INVOKE)
    assert (straight["route"]["cluster_header"], asked["route"]["cluster"]) == ("x-lmos-route", "orchestrator")
    assert "ext_authz" not in str(managers["internal"])
