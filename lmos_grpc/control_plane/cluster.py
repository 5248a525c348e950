"""An agent as an Envoy cluster."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmos_grpc.control_plane.endpoint import lb_endpoint, resolution, split_address
from lmos_grpc.control_plane.envoy_messages import Resource, cluster_bytes
from lmos_grpc.domain.card import AgentKey
from lmos_grpc.domain.instance import InstanceState

if TYPE_CHECKING:
    from lmos_grpc.domain.instance import Agent

_LOG = logging.getLogger(__name__)
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_UNBOUNDED = 100_000


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """Where an instance of an agent listens."""

    host: str
    port: int
    draining: bool


Endpoints = tuple[Endpoint, ...]


def endpoints_of(agent: Agent) -> Endpoints:
    """The endpoints of an agent, one per address (Envoy knows hosts by address), in a fixed order.

    An instance whose address cannot be read is left out and logged; the others are not made to suffer for it.
    """
    found: dict[tuple[str, int], bool] = {}
    for instance in agent.instances:
        address = split_address(instance.address)
        if address is None:
            _LOG.error("instance %s has no usable address: %r", instance.instance_id, instance.address)
            continue
        draining = instance.state is InstanceState.DRAINING
        found[address] = found.get(address, True) and draining
    return tuple(sorted(Endpoint(host, port, draining) for (host, port), draining in found.items()))


def cluster_resource(name: str, endpoints: Endpoints) -> Resource:
    """The cluster of that name. Equal content has an equal version, in any process and at any time."""
    return _resource(name, _cluster(name, endpoints))


def stand_in(name: str) -> Resource | None:
    """A cluster that drops every call with the response flag UDO: for an agent that is not there.

    None where the name is no agent's route.
    """
    if AgentKey.from_route(name) is None:
        return None
    drop_all = {"category": "unknown_agent", "drop_percentage": {"numerator": 100}}
    load_assignment = {"cluster_name": name, "policy": {"drop_overloads": [drop_all]}}
    return _resource(name, {"name": name, "type": "STATIC", "load_assignment": load_assignment})


def _resource(name: str, cluster: dict[str, object]) -> Resource:
    body = cluster_bytes(cluster)
    return Resource(name, hashlib.sha256(body).hexdigest()[:16], body)


def _cluster(name: str, endpoints: Endpoints) -> dict[str, object]:
    lb_endpoints = [lb_endpoint(each.host, each.port, draining=each.draining) for each in endpoints]
    return {
        "name": name,
        "type": resolution(each.host for each in endpoints),
        "connect_timeout": "1s",
        "lb_policy": "MAGLEV",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": lb_endpoints}]},
        # By default Envoy sends calls to unhealthy hosts when most are unhealthy.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        # The registry is the truth: an instance that it drops is gone, whatever health checks say.
        "ignore_health_on_host_removal": True,
        "typed_extension_protocol_options": {_HTTP_OPTIONS: _http_options()},
        "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": 10, "keepalive_interval": 5}},
        "health_checks": [_health_check()],
        "outlier_detection": _outlier_detection(),
        "circuit_breakers": {"thresholds": [_thresholds()]},
    }


def _http_options() -> dict[str, object]:
    http2 = {
        # Regular pings would make a gRPC server with default settings say GOAWAY (too_many_pings) to a stream that
        # is silent for long; a ping before a rested connection is used again does not.
        "connection_keepalive": {"connection_idle_interval": "10s", "timeout": "3s"},
        # At the default of 1,000 the connection would end, with every turn on it, when as many callers leave at once:
        # Envoy resets their calls here.
        "max_outbound_control_frames": _UNBOUNDED,
        "initial_stream_window_size": 1 << 20,
        "initial_connection_window_size": 8 << 20,
    }
    return {
        "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
        "explicit_http_config": {"http2_protocol_options": http2},
    }


def _health_check() -> dict[str, object]:
    return {
        # Below the time that a first call waits for its cluster (on_demand), which includes a first check.
        "timeout": "1s",
        "interval": "0.5s",
        # Envoy's default is 60 s for a cluster that had no call yet.
        "no_traffic_interval": "0.5s",
        "no_traffic_healthy_interval": "0.5s",
        "unhealthy_interval": "0.5s",
        # A hung instance is out within 5 s; one that is merely busy for a second or two stays.
        "unhealthy_threshold": 3,
        "healthy_threshold": 1,
        "grpc_health_check": {},
    }


def _outlier_detection() -> dict[str, object]:
    return {
        "interval": "1s",
        "base_ejection_time": "5s",
        "max_ejection_time": "30s",
        # Never the only instance: better an error of its own than none to call.
        "max_ejection_percent": 50,
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 3,
        "consecutive_gateway_failure": 10,
        "enforcing_consecutive_gateway_failure": 100,
        # INTERNAL is an answer of the agent, not a sign that its process is ill.
        "enforcing_consecutive_5xx": 0,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        # Health checks answer from elsewhere in the agent than its turns do.
        "successful_active_health_check_uneject_host": False,
    }


def _thresholds() -> dict[str, object]:
    wide = ("max_connections", "max_pending_requests", "max_requests")
    budget = {"budget_percent": {"value": 20}, "min_retry_concurrency": 10}
    return {**dict.fromkeys(wide, _UNBOUNDED), "retry_budget": budget}
