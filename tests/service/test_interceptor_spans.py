from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from lmos_grpc.errors import UnknownAgentError
from lmos_grpc.rpc import ErrorMappingInterceptor
from lmos_grpc.rpc.transport import make_channel, make_server
from lmos_grpc.telemetry import ServerTracingInterceptor, client_interceptors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExportResult
    from opentelemetry.trace import Tracer

    Context = grpc.aio.ServicerContext[Any, Any]

pytestmark = pytest.mark.usefixtures("each_transport")

LIMIT_SECONDS = 10
WORDS = "my card is 4711"


class Spans(InMemorySpanExporter):
    """All finished spans; they finish in the thread of the event loop."""

    def __init__(self) -> None:
        super().__init__()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self))
        self.tracer: Tracer = provider.get_tracer("test")
        self._more = asyncio.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._more.set()
        return super().export(spans)

    async def of(self, kind: SpanKind, count: int = 1) -> list[ReadableSpan]:
        async with asyncio.timeout(LIMIT_SECONDS):
            while len(found := [span for span in self.get_finished_spans() if span.kind is kind]) < count:
                self._more.clear()
                await self._more.wait()
        return found

    async def server(self) -> ReadableSpan:
        (span,) = await self.of(SpanKind.SERVER)
        return span


@pytest.fixture
async def spans() -> Spans:
    return Spans()


@asynccontextmanager
async def calling(
    spans: Spans,
    behaviour: Callable[[Any, Context], Any],
    kind: str = "unary_unary",
    *,
    inner: tuple[grpc.aio.ServerInterceptor, ...] = (),
    client: list[grpc.aio.ClientInterceptor] | None = None,
) -> AsyncIterator[Any]:
    server = make_server([ServerTracingInterceptor(spans.tracer), *inner])
    handler = getattr(grpc, f"{kind}_rpc_method_handler")(behaviour)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.One", {"Call": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with make_channel(f"127.0.0.1:{port}", client or ()) as channel:
            yield getattr(channel, kind)("/test.One/Call")
    finally:
        await server.stop(0)


async def test_a_span_follows_the_rpc_conventions(spans: Spans) -> None:
    async def answer(_request: object, _context: Context) -> bytes:
        return b""

    client = client_interceptors(spans.tracer, address="[::1]:8080")
    async with calling(spans, answer, client=client) as call:
        await call(b"")
    (client_span,) = await spans.of(SpanKind.CLIENT)
    assert client_span.name == "test.One/Call"
    assert dict(client_span.attributes or {}) == {
        "rpc.system.name": "grpc",
        "rpc.method": "test.One/Call",
        "rpc.response.status_code": "OK",
        "server.address": "::1",
        "server.port": 8080,
    }
    server_span = await spans.server()
    assert dict(server_span.attributes or {})["client.address"] == "127.0.0.1"
    assert server_span.parent
    assert client_span.context
    assert server_span.parent.span_id == client_span.context.span_id
    assert server_span.parent.is_remote


async def test_a_failing_handlers_exception_is_recorded_without_its_text(spans: Spans) -> None:
    async def fail(_request: object, _context: Context) -> bytes:
        raise ValueError(WORDS)

    async with calling(spans, fail) as call:
        with pytest.raises(grpc.aio.AioRpcError):
            await call(b"")
    span = await spans.server()
    (event,) = span.events
    assert dict(event.attributes or {})["exception.type"] == "ValueError"
    assert "raise ValueError(WORDS)" in str(dict(event.attributes or {})["exception.stacktrace"])
    assert WORDS not in span.to_json()
    assert span.status.status_code is StatusCode.ERROR


async def test_an_error_that_is_mapped_inside_is_recorded_with_its_reason_and_final_code(spans: Spans) -> None:
    async def unknown(_request: object, _context: Context) -> AsyncIterator[bytes]:
        yield b""
        raise UnknownAgentError(WORDS)

    async with calling(spans, unknown, "unary_stream", inner=(ErrorMappingInterceptor(),)) as call:
        with pytest.raises(grpc.aio.AioRpcError):
            async for _ in call(b""):
                pass
    span = await spans.server()
    attributes = dict(span.attributes or {})
    assert attributes["rpc.response.status_code"] == "NOT_FOUND"
    assert attributes["lmos.error.reason"] == "UNKNOWN_AGENT"
    assert span.status.status_code is StatusCode.UNSET
    assert WORDS not in span.to_json()


async def test_a_defect_that_is_mapped_inside_is_recorded_as_what_it_was(spans: Spans) -> None:
    async def fail(_request: object, _context: Context) -> bytes:
        raise KeyError(WORDS)

    async with calling(spans, fail, inner=(ErrorMappingInterceptor(),)) as call:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call(b"")
    span = await spans.server()
    assert failed.value.code() is grpc.StatusCode.INTERNAL
    assert dict(span.attributes or {})["rpc.response.status_code"] == "INTERNAL"
    assert [dict(event.attributes or {})["exception.type"] for event in span.events] == ["KeyError"]


async def test_a_status_set_before_an_exception_is_the_one_that_counts(spans: Spans) -> None:
    async def fail(_request: object, context: Context) -> bytes:
        context.set_code(grpc.StatusCode.DATA_LOSS)
        raise ValueError(WORDS)

    async with calling(spans, fail) as call:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call(b"")
    assert failed.value.code() is grpc.StatusCode.DATA_LOSS
    assert dict((await spans.server()).attributes or {})["rpc.response.status_code"] == "DATA_LOSS"


async def test_a_status_that_a_handler_sets_and_returns_with_is_the_final_one(spans: Spans) -> None:
    async def half(_request: object, context: Context) -> AsyncIterator[bytes]:
        yield b""
        context.set_code(grpc.StatusCode.UNAVAILABLE)

    async with calling(spans, half, "unary_stream") as call:
        with pytest.raises(grpc.aio.AioRpcError):
            async for _ in call(b""):
                pass
    assert dict((await spans.server()).attributes or {})["rpc.response.status_code"] == "UNAVAILABLE"


@pytest.mark.parametrize("inner", [(), (ErrorMappingInterceptor(),)], ids=["alone", "with error mapping"])
async def test_the_span_is_current_after_every_yield_of_a_generator(
    spans: Spans, inner: tuple[grpc.aio.ServerInterceptor, ...], caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []

    async def generate(_request: object, _context: Context) -> AsyncIterator[bytes]:
        for _ in range(3):
            seen.append(get_current_span().get_span_context().span_id)
            with spans.tracer.start_as_current_span("step"):
                yield b""

    with caplog.at_level(logging.WARNING):
        async with calling(spans, generate, "unary_stream", inner=inner) as call:
            async for _ in call(b""):
                pass
    span = await spans.server()
    assert span.context
    assert seen == [span.context.span_id] * 3
    steps = await spans.of(SpanKind.INTERNAL, 3)
    assert {step.parent.span_id for step in steps if step.parent} == {span.context.span_id}
    assert not caplog.records, "a context was detached where it was not attached"


async def test_what_was_current_when_the_server_started_is_nobodys_parent(spans: Spans) -> None:
    async def answer(_request: object, _context: Context) -> bytes:
        return b""

    with spans.tracer.start_as_current_span("start-up"):
        async with calling(spans, answer) as call:
            await call(b"")
    assert (await spans.server()).parent is None


async def test_a_broken_traceparent_starts_a_trace_of_its_own(spans: Spans) -> None:
    async def answer(_request: object, _context: Context) -> bytes:
        return b""

    async with calling(spans, answer) as call:
        await call(b"", metadata=(("traceparent", "00-nonsense"), ("binary-bin", b"\x00")))
    assert (await spans.server()).parent is None


async def test_metadata_of_the_caller_goes_along_with_one_traceparent(spans: Spans) -> None:
    async def tell(_request: object, context: Context) -> bytes:
        return "\n".join(f"{key}={value!s}" for key, value in context.invocation_metadata() or ()).encode()

    async with calling(spans, tell, client=client_interceptors(spans.tracer)) as call:
        stale = ("traceparent", f"00-{1:032x}-{1:016x}-01")
        told: bytes = await call(b"", metadata=(("x-lmos-tenant", "acme"), stale))
    (span,) = await spans.of(SpanKind.CLIENT)
    assert span.context
    arrived = told.decode().splitlines()
    assert "x-lmos-tenant=acme" in arrived
    (parent,) = [line for line in arrived if line.startswith("traceparent=")]
    assert parent.startswith(f"traceparent=00-{span.context.trace_id:032x}-{span.context.span_id:016x}-")


async def test_a_generators_cleanup_runs_when_its_client_leaves(spans: Spans) -> None:
    cleaned = asyncio.Event()

    async def flood(_request: object, _context: Context) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"token" * 1_000
        finally:
            cleaned.set()

    async with calling(spans, flood, "unary_stream") as call, asyncio.timeout(LIMIT_SECONDS):
        stream = call(b"")
        await stream.read()
        stream.cancel()
        await cleaned.wait()
        assert dict((await spans.server()).attributes or {})["rpc.response.status_code"] == "CANCELLED"


async def test_many_cancelled_floods_leave_one_cancelled_span_each(spans: Spans) -> None:
    async def flood(_request: object, _context: Context) -> AsyncIterator[bytes]:
        while True:
            yield b"token"

    client = client_interceptors(spans.tracer)
    async with calling(spans, flood, "unary_stream", client=client) as call, asyncio.timeout(LIMIT_SECONDS):
        for _ in range(100):
            stream = call(b"")
            await stream.read()
            stream.cancel()
        server = await spans.of(SpanKind.SERVER, 100)
        clients = await spans.of(SpanKind.CLIENT, 100)
    assert (len(server), len(clients)) == (100, 100)
    codes = {dict(span.attributes or {})["rpc.response.status_code"] for span in (*server, *clients)}
    assert codes == {"CANCELLED"}


async def test_a_call_cancelled_inside_a_later_interceptor_still_ends_its_span(spans: Spans) -> None:
    entered = asyncio.Event()

    class FetchesToken(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(self, _continuation: Any, _details: Any, _request: Any) -> Any:
            entered.set()
            await asyncio.Event().wait()

    async def answer(_request: object, _context: Context) -> bytes:
        return b""

    client = [*client_interceptors(spans.tracer), FetchesToken()]
    async with calling(spans, answer, client=client) as call, asyncio.timeout(LIMIT_SECONDS):
        running = call(b"")
        await entered.wait()
        running.cancel()
        (span,) = await spans.of(SpanKind.CLIENT)
    assert dict(span.attributes or {})["rpc.response.status_code"] == "CANCELLED"
