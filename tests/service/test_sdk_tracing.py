"""The spans of a turn, as an OTLP endpoint gets them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from lmos_grpc import Agent, AgentSettings, MeshClient, ModelSettings, serve_agent
from lmos_grpc.errors import ModelUnavailableError
from tests.fakes.model_server import ModelServer, serve_model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    from lmos_grpc import Turn

LIMIT = timedelta(seconds=10)
AGENT = Agent("concierge", version="1.0.0")


@AGENT.capability("chat", version="1.0.0")
async def chat(turn: Turn) -> AsyncIterator[str]:
    async for text in turn.llm(turn.text):
        yield text


class Collector(TraceServiceServicer):
    """Keeps the spans that it gets, by name."""

    def __init__(self) -> None:
        self.address = ""
        self.spans: dict[str, Span] = {}

    async def Export(  # noqa: N802 # the name in the contract
        self, request: ExportTraceServiceRequest, _context: Any
    ) -> ExportTraceServiceResponse:
        scopes = [scope for resource in request.resource_spans for scope in resource.scope_spans]
        self.spans.update((span.name, span) for scope in scopes for span in scope.spans)
        return ExportTraceServiceResponse()

    def attributes(self, name: str) -> dict[str, object]:
        values = ((each.key, each.value) for each in self.spans[name].attributes)
        return {key: getattr(value, value.WhichOneof("value") or "", None) for key, value in values}


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector, server = Collector(), grpc.aio.server()
    add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call] # generated without types
    collector.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield collector
    finally:
        await server.stop(0)


@asynccontextmanager
async def traced_agent(collector: Collector, model: ModelServer) -> AsyncIterator[MeshClient]:
    async with serve_model(model):
        settings = AgentSettings(
            mesh=None,
            model=ModelSettings("tiny", base_url=model.base_url, retries=0),
            otlp_endpoint=collector.address,
            drain_timeout=timedelta(seconds=2),
        )
        async with serve_agent(AGENT, settings) as served, MeshClient(served.address, tenant="acme") as client:
            yield client


async def test_a_turn_is_one_chain_of_spans_down_to_the_model_without_its_text() -> None:
    async with collecting() as collector:
        async with traced_agent(collector, ModelServer()) as client:
            await client.ask("my secret", conversation_id="c1", turn_id="t1", timeout=LIMIT)
        spans = collector.spans
        call, turn, model = (
            spans[each] for each in ("lmos.agent.v1.AgentService/Invoke", "invoke_agent concierge", "chat tiny")
        )
        assert turn.parent_span_id == call.span_id
        assert model.parent_span_id == turn.span_id
        said = collector.attributes("invoke_agent concierge")
        used = collector.attributes("chat tiny")
    assert (
        said.items()
        >= {
            "gen_ai.agent.name": "concierge",
            "gen_ai.conversation.id": "c1",
            "lmos.turn.id": "t1",
            "lmos.tenant": "acme",
            "lmos.capability": "chat",
            "lmos.turn.outcome": "COMPLETED",
            "gen_ai.usage.input_tokens": 12,
        }.items()
    )
    assert (used["gen_ai.usage.output_tokens"], used["gen_ai.response.model"]) == (3, "tiny-1.5")
    assert "secret" not in str(spans)


async def test_a_model_that_fails_shows_in_its_span_and_in_that_of_the_turn() -> None:
    async with collecting() as collector:
        async with traced_agent(collector, ModelServer(status=500)) as client:
            with pytest.raises(ModelUnavailableError):
                await client.ask("x", timeout=LIMIT)
        for name in ("invoke_agent concierge", "chat tiny"):
            assert collector.spans[name].status.code == Status.STATUS_CODE_ERROR
            assert collector.attributes(name)["lmos.error.reason"] == "MODEL_UNAVAILABLE"
