from __future__ import annotations

import asyncio
import socket
import threading
import urllib.request
from datetime import timedelta

import pytest
from prometheus_client import generate_latest

from lmos_grpc.errors import EnvironmentFaultError
from lmos_grpc.telemetry import Metrics, serve_metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


WHO = {"agent": "billing", "tenant": "acme", "channel": "web"}


def test_a_turn_is_counted_while_it_runs_and_when_it_ends() -> None:
    metrics = Metrics()
    metrics.turn_started(**WHO)
    assert value(metrics, "lmos_active_turns", **WHO) == 1
    metrics.turn_finished(
        **WHO, outcome="completed", duration=timedelta(seconds=2), time_to_first_token=timedelta(milliseconds=40)
    )
    assert value(metrics, "lmos_active_turns", **WHO) == 0
    assert value(metrics, "lmos_turns_total", **WHO, outcome="completed") == 1
    assert value(metrics, "lmos_turn_duration_seconds_sum", **WHO) == 2
    assert value(metrics, "lmos_time_to_first_token_seconds_sum", **WHO) == 0.04


def test_the_curve_of_a_classifier_is_told() -> None:
    metrics = Metrics()
    metrics.curve_learnt("lexical-embedding", shift=-0.5, left_out=200, found=190)
    names = ("lmos_routing_curve_shift", "lmos_routing_phrases_left_out", "lmos_routing_phrases_found")
    assert [value(metrics, each, classifier="lexical-embedding") for each in names] == [-0.5, 200, 190]


def test_a_turn_without_a_token_has_no_time_to_first_token() -> None:
    metrics = Metrics()
    metrics.turn_started(**WHO)
    metrics.turn_finished("billing", "acme", "web", "failed", duration=timedelta(seconds=1))
    assert value(metrics, "lmos_time_to_first_token_seconds_count", **WHO) is None


def test_errors_tokens_decisions_instances_and_pushes_are_counted() -> None:
    metrics = Metrics()
    metrics.turn_failed(**WHO, reason="AGENT_FAILED")
    metrics.tokens_used(**WHO, input_tokens=3, output_tokens=5)
    metrics.route_decided("explicit", timedelta(milliseconds=1), lane="express")
    metrics.instances_changed({"ready": 2, "draining": 1})
    metrics.envoys_changed(1)
    metrics.xds_pushed("cluster")
    metrics.xds_refused("cluster")
    metrics.spans_lost(7)
    assert value(metrics, "lmos_errors_total", **WHO, reason="AGENT_FAILED") == 1
    assert value(metrics, "lmos_tokens_total", **WHO, direction="output") == 5
    assert value(metrics, "lmos_routing_decision_seconds_count", mode="explicit", lane="express") == 1
    assert value(metrics, "lmos_registered_instances", state="ready") == 2
    assert value(metrics, "lmos_connected_envoys") == 1
    assert value(metrics, "lmos_xds_pushes_total", resource_type="cluster") == 1
    assert value(metrics, "lmos_xds_refusals_total", resource_type="cluster") == 1
    assert value(metrics, "lmos_lost_spans_total") == 7


def test_tenants_beyond_the_limit_are_counted_together_and_active_turns_still_balance() -> None:
    metrics = Metrics(max_values=2)
    for tenant in ("a", "b", "c", "d"):
        metrics.turn_started("billing", tenant, "web")
    assert value(metrics, "lmos_active_turns", agent="billing", tenant="other", channel="web") == 2
    for tenant in ("a", "b", "c", "d"):
        metrics.turn_finished("billing", tenant, "web", "completed", duration=timedelta(seconds=1))
    assert value(metrics, "lmos_active_turns", agent="billing", tenant="other", channel="web") == 0
    assert value(metrics, "lmos_active_turns", agent="billing", tenant="a", channel="web") == 0


def test_a_caller_who_invents_combinations_cannot_grow_the_page_without_bound() -> None:
    metrics = Metrics(max_values=50, max_combinations=20)
    for number in range(10_000):
        metrics.turn_started(f"agent-{number % 40}", f"tenant-{number % 45}", f"channel-{number % 49}")
    page = generate_latest(metrics.registry).decode()
    assert page.count("lmos_active_turns{") == 21


async def test_metrics_are_served_until_the_block_ends() -> None:
    metrics = Metrics()
    metrics.envoys_changed(3)
    async with serve_metrics(metrics, "127.0.0.1", 0) as port:
        page = await asyncio.to_thread(_get, f"http://127.0.0.1:{port}/metrics")
        assert "lmos_connected_envoys 3.0" in page
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert not [thread for thread in threading.enumerate() if "serve_forever" in thread.name]


async def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentFaultError, match=f"127.0.0.1:{port}"):
            async with serve_metrics(Metrics(), "127.0.0.1", port):
                pass


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310  # our own loopback server
        page: str = response.read().decode()
        return page
