from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from lmos_grpc.rpc.transport import make_channel, make_server
from lmos_grpc.telemetry import ServerTracingInterceptor, client_interceptors, start_tracing
from lmos_grpc.traces import (
    SpanKind,
    SpanStatus,
    open_span_reader,
    open_span_store,
    receive_traces,
    trace_tree,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from lmos_grpc.telemetry import Tracing
    from lmos_grpc.traces import Span, SqliteSpanReader, TraceNode

    Context = grpc.aio.ServicerContext[Any, Any]

pytestmark = pytest.mark.usefixtures("each_transport")

KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
STREAMING = ("unary_stream", "stream_stream")
LIMIT_SECONDS = 10


@dataclass
class Handlers:
    """Answers `/test.Calls/{kind}` and, with the reader and writer API, `/test.Calls/{kind}_written`."""

    behave: Callable[[Context], Awaitable[None]]
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 1

    def register(self, server: grpc.aio.Server) -> None:
        behaviours: dict[str, Any] = {
            "unary_unary": self.unary,
            "stream_unary": self.unary,
            "unary_stream": self.generate,
            "stream_stream": self.generate,
            "unary_stream_written": self.write,
            "stream_stream_written": self.write,
            "stream_stream_unread_written": self.write_unread,
        }
        handlers = {
            name: getattr(grpc, f"{re.sub('(_unread)?_written', '', name)}_rpc_method_handler")(behaviour)
            for name, behaviour in behaviours.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Calls", handlers),))

    async def unary(self, request: Any, context: Context) -> bytes:
        await read_all(request)
        self.entered.set()
        await self.behave(context)
        return b"answer"

    async def generate(self, request: Any, context: Context) -> AsyncIterator[bytes]:
        await read_all(request)
        for _ in range(self.sent):
            yield b"token"
        self.entered.set()
        await self.behave(context)

    async def write(self, request: Any, context: Context) -> None:
        await read_all(request)
        await self.write_unread(request, context)

    async def write_unread(self, _request: object, context: Context) -> None:
        await context.write(b"token")
        self.entered.set()
        await self.behave(context)


@dataclass
class Traced:
    """A traced client and server, and the store that both export to."""

    handlers: Handlers
    channel: Any  # the stubs demand a serializer; bytes need none
    reader: SqliteSpanReader
    tracings: tuple[Tracing, ...]
    server: grpc.aio.Server
    inner_channel: Any

    def call(self, name: str, *, timeout: float | None = None) -> Any:
        kind = name.removesuffix("_written")
        method = getattr(self.channel, kind)(f"/test.Calls/{name}")
        return method(_requests() if kind.startswith("stream") else b"ask", timeout=timeout)

    async def tree(self, spans: int = 2) -> TraceNode:
        """The only trace, when it is whole; a span more would be found, too, because all that ended is flushed."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while True:
                for tracing in self.tracings:
                    await tracing.flush()
                found = self.reader.list_traces(10)
                if sum(summary.span_count for summary in found) >= spans:
                    break
                await asyncio.sleep(0.01)
        assert [summary.span_count for summary in found] == [spans]
        trace = self.reader.get_trace(found[0].trace_id)
        assert trace
        (root,) = trace_tree(trace.spans)
        assert not any(node.orphan for node in root.flatten())
        return root


async def read_all(request: Any) -> None:
    # gRPC tells a client that is cut off while it still writes sometimes this code, sometimes that.
    if hasattr(request, "__aiter__"):
        async for _ in request:
            pass


async def _requests() -> AsyncIterator[bytes]:
    yield b"one"
    yield b"two"


@asynccontextmanager
async def serving(
    register: Callable[[grpc.aio.Server], None], *, interceptors: Sequence[grpc.aio.ServerInterceptor] = ()
) -> AsyncIterator[tuple[grpc.aio.Server, str]]:
    server = make_server(interceptors)
    register(server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield server, address
    finally:
        await server.stop(0)


@asynccontextmanager
async def traced(tmp_path: Path, behave: Callable[[Context], Awaitable[None]]) -> AsyncIterator[Traced]:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_span_store(tmp_path / "traces.db"))
        receiver = await stack.enter_async_context(receive_traces(store))
        _, otlp = await stack.enter_async_context(serving(receiver.register))
        of_server = await stack.enter_async_context(start_tracing("server", endpoint=otlp, instance_id="s"))
        of_client = await stack.enter_async_context(start_tracing("client", endpoint=otlp, instance_id="c"))
        handlers = Handlers(behave)
        server, address = await stack.enter_async_context(
            serving(handlers.register, interceptors=(ServerTracingInterceptor(of_server.tracer),))
        )
        channel, inner_channel = [
            await stack.enter_async_context(make_channel(address, client_interceptors(tracing.tracer, address=address)))
            for tracing in (of_client, of_server)
        ]
        reader = stack.enter_context(open_span_reader(tmp_path / "traces.db"))
        yield Traced(handlers, channel, reader, (of_client, of_server), server, inner_channel)


async def ok(_context: Context) -> None:
    pass


async def abort(context: Context) -> None:
    await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")


async def fail(_context: Context) -> None:
    message = "the caller's own words"
    raise ValueError(message)


async def hang(_context: Context) -> None:
    await asyncio.Event().wait()


async def consume(call: Any, got: asyncio.Event | None = None) -> None:
    if hasattr(call, "__aiter__"):
        async for _ in call:
            if got:
                got.set()
    else:
        await call


def assert_call(root: TraceNode, code: str, *, client: SpanStatus, server: SpanStatus) -> None:
    (child,) = root.children
    assert (root.span.kind, root.span.service) == (SpanKind.CLIENT, "client")
    assert (child.span.kind, child.span.service) == (SpanKind.SERVER, "server")
    assert root.span.name == child.span.name
    assert codes(root.span, child.span) == (code, code)
    assert (root.span.status, child.span.status) == (client, server)


def codes(*spans: Span) -> tuple[object, ...]:
    return tuple(span.attributes["rpc.response.status_code"] for span in spans)


ALL = (*KINDS, "unary_stream_written", "stream_stream_written")


@pytest.mark.parametrize("name", ALL)
async def test_a_call_that_ends_well_has_two_spans_that_say_ok(tmp_path: Path, name: str) -> None:
    async with traced(tmp_path, ok) as world:
        await consume(world.call(name))
        assert_call(await world.tree(), "OK", client=SpanStatus.UNSET, server=SpanStatus.UNSET)


@pytest.mark.parametrize("name", ALL)
async def test_an_abort_is_the_clients_failure_with_its_code_in_both_spans(tmp_path: Path, name: str) -> None:
    async with traced(tmp_path, abort) as world:
        with pytest.raises(grpc.aio.AioRpcError):
            await consume(world.call(name))
        assert_call(await world.tree(), "NOT_FOUND", client=SpanStatus.ERROR, server=SpanStatus.UNSET)


@pytest.mark.parametrize("name", ALL)
async def test_an_exception_in_a_handler_is_unknown_on_the_wire_and_in_both_spans(tmp_path: Path, name: str) -> None:
    async with traced(tmp_path, fail) as world:
        with pytest.raises(grpc.aio.AioRpcError):
            await consume(world.call(name))
        assert_call(await world.tree(), "UNKNOWN", client=SpanStatus.ERROR, server=SpanStatus.ERROR)


@pytest.mark.parametrize("name", ALL)
async def test_a_cancel_by_the_client_ends_both_spans_as_cancelled(tmp_path: Path, name: str) -> None:
    async with traced(tmp_path, hang) as world:
        call = world.call(name)
        reading = asyncio.create_task(consume(call))
        async with asyncio.timeout(LIMIT_SECONDS):
            await world.handlers.entered.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert_call(await world.tree(), "CANCELLED", client=SpanStatus.ERROR, server=SpanStatus.UNSET)


@pytest.mark.parametrize("name", ALL)
async def test_a_deadline_ends_both_spans_as_exceeded(tmp_path: Path, name: str) -> None:
    async with traced(tmp_path, hang) as world:
        with pytest.raises(grpc.aio.AioRpcError):
            await consume(world.call(name, timeout=0.15))
        assert_call(await world.tree(), "DEADLINE_EXCEEDED", client=SpanStatus.ERROR, server=SpanStatus.ERROR)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_cancelled_task_that_waits_for_a_call_ends_both_spans(tmp_path: Path, kind: str) -> None:
    async with traced(tmp_path, hang) as world:
        got = asyncio.Event()
        waiting = asyncio.create_task(consume(world.call(kind), got))
        async with asyncio.timeout(LIMIT_SECONDS):
            # Not earlier: grpc.aio leaves a call open whose reader is cancelled while its headers arrive.
            await (got if kind in STREAMING else world.handlers.entered).wait()
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        assert_call(await world.tree(), "CANCELLED", client=SpanStatus.ERROR, server=SpanStatus.UNSET)


@pytest.mark.parametrize("kind", STREAMING)
async def test_a_stream_that_the_client_stops_reading_ends_with_the_cancel(tmp_path: Path, kind: str) -> None:
    async with traced(tmp_path, hang) as world:
        world.handlers.sent = 1_000_000
        call = world.call(kind)
        async for _ in call:
            break
        call.cancel()
        assert_call(await world.tree(), "CANCELLED", client=SpanStatus.ERROR, server=SpanStatus.UNSET)


async def test_the_read_and_write_api_with_half_close_has_two_spans_that_say_ok(tmp_path: Path) -> None:
    async with traced(tmp_path, ok) as world:
        call = world.channel.stream_stream("/test.Calls/stream_stream_written")()
        await call.write(b"hello")
        await call.done_writing()
        assert await call.read() == b"token"
        assert await call.read() is grpc.aio.EOF
        assert_call(await world.tree(), "OK", client=SpanStatus.UNSET, server=SpanStatus.UNSET)


async def test_a_cancel_in_the_read_and_write_api_ends_both_spans(tmp_path: Path) -> None:
    async with traced(tmp_path, hang) as world:
        call = world.channel.stream_stream("/test.Calls/stream_stream_unread_written")()
        await call.write(b"hello")
        assert await call.read() == b"token"
        call.cancel()
        assert_call(await world.tree(), "CANCELLED", client=SpanStatus.ERROR, server=SpanStatus.UNSET)


async def test_a_channel_that_closes_over_an_open_stream_ends_both_spans(tmp_path: Path) -> None:
    async with traced(tmp_path, hang) as world:
        call = world.call("unary_stream")
        await call.read()
        await world.channel.close()
        assert_call(await world.tree(), "CANCELLED", client=SpanStatus.ERROR, server=SpanStatus.UNSET)


async def test_a_server_that_stops_over_an_open_call_ends_both_spans(tmp_path: Path) -> None:
    async with traced(tmp_path, hang) as world:
        waiting = asyncio.create_task(consume(world.call("unary_stream")))
        async with asyncio.timeout(LIMIT_SECONDS):
            await world.handlers.entered.wait()
        await world.server.stop(0)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await waiting
        root = await world.tree()
        assert codes(root.span, root.children[0].span) == (failed.value.code().name, "CANCELLED")


async def test_a_method_that_the_server_does_not_know_has_a_client_span_only(tmp_path: Path) -> None:
    async with traced(tmp_path, ok) as world:
        with pytest.raises(grpc.aio.AioRpcError):
            await world.channel.unary_unary("/test.Calls/nothing")(b"")
        root = await world.tree(spans=1)
        assert codes(root.span) == ("UNIMPLEMENTED",)


async def test_a_server_that_is_away_leaves_a_client_span_that_says_so(tmp_path: Path) -> None:
    async with traced(tmp_path, ok) as world:
        await world.server.stop(0)
        with pytest.raises(grpc.aio.AioRpcError):
            await consume(world.call("unary_stream"))
        root = await world.tree(spans=1)
        assert codes(root.span) == ("UNAVAILABLE",)
        assert root.span.attributes["server.address"] == "127.0.0.1"


async def test_health_reflection_and_export_calls_have_no_spans(tmp_path: Path) -> None:
    async with traced(tmp_path, ok) as world:
        for method in (
            "/grpc.health.v1.Health/Check",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        ):
            with pytest.raises(grpc.aio.AioRpcError):
                await world.channel.unary_unary(method)(b"")
        await consume(world.call("unary_unary"))
        await world.tree(spans=2)


@pytest.mark.parametrize("name", ALL)
async def test_a_call_made_by_a_handler_hangs_below_the_handlers_span(tmp_path: Path, name: str) -> None:
    async def call_on(context: Context) -> None:
        if ("depth", "1") not in tuple(context.invocation_metadata() or ()):
            await world.inner_channel.unary_unary("/test.Calls/unary_unary")(b"", metadata=(("depth", "1"),))

    async with traced(tmp_path, call_on) as world:
        await consume(world.call(name))
        root = await world.tree(spans=4)
        assert [(node.depth, node.span.service, node.span.kind) for node in root.flatten()] == [
            (0, "client", SpanKind.CLIENT),
            (1, "server", SpanKind.SERVER),
            (2, "server", SpanKind.CLIENT),
            (3, "server", SpanKind.SERVER),
        ]


async def test_two_streams_at_once_keep_their_spans_apart(tmp_path: Path) -> None:
    both = asyncio.Barrier(2)

    async def meet_and_call_on(context: Context) -> None:
        if ("depth", "1") not in tuple(context.invocation_metadata() or ()):
            await both.wait()
            await world.inner_channel.unary_unary("/test.Calls/unary_unary")(b"", metadata=(("depth", "1"),))

    async with traced(tmp_path, meet_and_call_on) as world, asyncio.timeout(LIMIT_SECONDS):
        await asyncio.gather(consume(world.call("unary_stream")), consume(world.call("unary_stream")))
        while sum(summary.span_count for summary in world.reader.list_traces(10)) < 8:
            await asyncio.gather(*(tracing.flush() for tracing in world.tracings))
            await asyncio.sleep(0.01)
        for summary in world.reader.list_traces(10):
            trace = world.reader.get_trace(summary.trace_id)
            assert trace
            (root,) = trace_tree(trace.spans)
            assert [node.depth for node in root.flatten()] == [0, 1, 2, 3]
