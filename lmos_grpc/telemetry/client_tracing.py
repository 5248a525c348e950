"""The client's interceptors that give every call a span, for all four kinds of call."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import grpc
import grpc.aio
from opentelemetry.trace import SpanKind, set_span_in_context

from lmos_grpc.telemetry.call_span import PROPAGATOR, end_call_span, is_traced, start_call_span

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from opentelemetry.trace import Span, Tracer

    # Any: one interceptor serves every request and response type, and the stubs type the four kinds apart.
    Continuation = Callable[[Any, Any], Awaitable[Any]]


def client_interceptors(tracer: Tracer, *, address: str = "") -> list[grpc.aio.ClientInterceptor]:
    """The interceptors of a channel: a span per call under the current one, sent on as W3C `traceparent`.

    The span ends when the call does, however it does: status, cancel, deadline or closed channel. A stream that is
    neither read to its end nor cancelled stays open, and so does its span: always cancel what you stop reading.
    `address` is the `host:port` that the channel leads to. Health, reflection and trace export have no spans.
    """
    calls = _TracedCalls(tracer, address)
    return [_UnaryUnary(calls), _UnaryStream(calls), _StreamUnary(calls), _StreamStream(calls)]


class _TracedCalls:
    def __init__(self, tracer: Tracer, address: str) -> None:
        self._tracer = tracer
        self._address = address

    async def start(self, continuation: Continuation, details: grpc.aio.ClientCallDetails, request: object) -> Any:
        method = cast("bytes", details.method).decode()  # bytes, whatever the stubs say
        if not is_traced(method):
            return await continuation(details, request)
        span = start_call_span(self._tracer, method, SpanKind.CLIENT, address=self._address)
        try:
            call = await continuation(_carrying(span, details), request)
        except grpc.aio.AioRpcError as error:
            end_call_span(span, error.code(), kind=SpanKind.CLIENT)
            raise
        except BaseException:  # cancelled in an interceptor below, before there was a call
            end_call_span(span, grpc.StatusCode.CANCELLED, kind=SpanKind.CLIENT)
            raise
        # Not by awaiting the call: nobody would wake us after a cancel, and reading is the caller's.
        call.add_done_callback(partial(end_with_call, span))
        return call


def _carrying(span: Span, details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
    carrier: dict[str, str] = {}
    PROPAGATOR.inject(carrier, context=set_span_in_context(span))
    kept = ((key, value) for key, value in details.metadata or () if key not in PROPAGATOR.fields)
    metadata = grpc.aio.Metadata(*kept, *carrier.items())
    return grpc.aio.ClientCallDetails(
        details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
    )


def end_with_call(span: Span, call: grpc.aio.Call) -> None:
    """Ends a span as a call that is done has ended."""
    # code() is a coroutine that returns at once when the call is done, and a callback cannot await.
    coroutine = call.code()
    code = grpc.StatusCode.UNKNOWN
    try:
        coroutine.send(None)
    except StopIteration as done:
        code = done.value
    finally:
        coroutine.close()
    end_call_span(span, code, kind=SpanKind.CLIENT)


class _Interceptor:
    # Waits for nothing but the continuation: a channel of ours that knows this needs no task to make the call.
    suspends = False

    def __init__(self, calls: _TracedCalls) -> None:
        self._calls = calls


class _UnaryUnary(_Interceptor, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Continuation, client_call_details: grpc.aio.ClientCallDetails, request: object
    ) -> Any:
        return await self._calls.start(continuation, client_call_details, request)


class _UnaryStream(_Interceptor, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: Continuation, client_call_details: grpc.aio.ClientCallDetails, request: object
    ) -> Any:
        return await self._calls.start(continuation, client_call_details, request)


class _StreamUnary(_Interceptor, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self, continuation: Continuation, client_call_details: grpc.aio.ClientCallDetails, request_iterator: object
    ) -> Any:
        return await self._calls.start(continuation, client_call_details, request_iterator)


class _StreamStream(_Interceptor, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self, continuation: Continuation, client_call_details: grpc.aio.ClientCallDetails, request_iterator: object
    ) -> Any:
        return await self._calls.start(continuation, client_call_details, request_iterator)
