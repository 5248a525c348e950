"""What Envoy tells of a call to the trace store, and what it keeps quiet about."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from lmos.discovery.v1 import discovery_service_pb2, discovery_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from tests.mesh.conftest import answer, plain_agents, running_mesh, server_of, turn, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import grpc.aio
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    from tests.fakes.registry import FakeRegistry
    from tests.mesh.conftest import Mesh

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class FakeTraceStore(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps the spans that it is sent, with the name of the service that sent them."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Span]] = []

    async def Export(  # noqa: N802 - the name in the contract
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        del context
        for part in request.resource_spans:
            names = {each.key: each.value.string_value for each in part.resource.attributes}
            self.spans += [(names["service.name"], span) for scope in part.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()

    async def has(self, *operations: tuple[str, str]) -> None:
        """Returns once spans of these services and names came."""

        async def came() -> bool:
            return set(operations) <= {(service, span.name) for service, span in self.spans}

        async with asyncio.timeout(6):
            await until(came)


@pytest.fixture
def store() -> FakeTraceStore:
    return FakeTraceStore()


@pytest.fixture
async def traced(tmp_path: Path, registry: FakeRegistry, store: FakeTraceStore) -> AsyncIterator[Mesh]:
    def add(server: grpc.aio.Server) -> None:
        # The package ships no types for its stubs.
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(store, server)  # type: ignore[no-untyped-call]

    async with server_of(add) as otlp, running_mesh(tmp_path, registry, otlp=otlp) as mesh:
        yield mesh


async def test_a_call_through_the_edge_is_a_span_with_a_child_that_the_upstream_continues(
    traced: Mesh, store: FakeTraceStore
) -> None:
    await answer(turn(traced.edge, "hello", ("traceparent", f"00-{TRACE}-{PARENT}-01")))
    await store.has(("lmos-edge", "edge Invoke"))
    ours = [span for _, span in store.spans if span.trace_id.hex() == TRACE]
    (entry,) = [span for span in ours if span.parent_span_id.hex() == PARENT]
    (upstream,) = [span for span in ours if span.parent_span_id == entry.span_id]
    assert entry.name == "edge Invoke"
    assert traced.orchestrator.calls[0]["traceparent"] == f"00-{TRACE}-{upstream.span_id.hex()}-01"


async def test_a_call_to_an_agent_is_a_span_of_the_internal_listener(traced: Mesh, store: FakeTraceStore) -> None:
    async with plain_agents(traced.registry, "billing", "b1"):
        await answer(traced.text("hello"))
    await store.has(("lmos-internal", "internal Invoke"))


async def test_a_caller_who_does_not_sample_is_not_traced(traced: Mesh, store: FakeTraceStore) -> None:
    await answer(turn(traced.edge, "hello", ("traceparent", f"00-{TRACE}-{PARENT}-00")))
    await answer(turn(traced.edge, "hello"))
    await store.has(("lmos-edge", "edge Invoke"))
    assert [span for _, span in store.spans if span.trace_id.hex() == TRACE] == []


async def test_renewals_and_health_checks_leave_no_spans(traced: Mesh, store: FakeTraceStore) -> None:
    inside: Any = discovery_service_pb2_grpc.DiscoveryServiceStub(traced.internal)
    await inside.Renew(discovery_service_pb2.RenewRequest(), timeout=5)
    for channel in (traced.edge, traced.internal):
        discovery: Any = discovery_service_pb2_grpc.DiscoveryServiceStub(channel)
        await discovery.ListAgents(discovery_service_pb2.ListAgentsRequest(), timeout=5)
    health: Any = health_pb2_grpc.HealthStub(traced.edge)
    await health.Check(health_pb2.HealthCheckRequest(), timeout=5)
    await answer(turn(traced.edge, "hello"))
    await store.has(("lmos-edge", "edge DiscoveryService"), ("lmos-internal", "internal DiscoveryService"))
    await store.has(("lmos-edge", "edge Invoke"))
    served = [span.name for _, span in store.spans if not span.parent_span_id]
    assert sorted(served) == ["edge DiscoveryService", "edge Invoke", "internal DiscoveryService"]
