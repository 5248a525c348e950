"""The server's interceptor that gives every call a span, for all four kinds of call."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import aclosing
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import grpc
import grpc.aio
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, use_span

from lmos_grpc.telemetry import attributes as names
from lmos_grpc.telemetry.call_span import CARRIED, PROPAGATOR, end_call_span, is_traced, start_call_span
from lmos_grpc.telemetry.failure import record_failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from opentelemetry.trace import Span, Tracer

    # Any: one interceptor serves every request and response type.
    ServicerContext = grpc.aio.ServicerContext[Any, Any]
    Handler = grpc.RpcMethodHandler[Any, Any]
    Behaviour = Callable[[Any, ServicerContext], Any]

# A client that gives up at its deadline resets the stream, and the reset may arrive before our own timer. Its
# deadline travels rounded up by at most a hundredth (`Timeout` of the gRPC over HTTP/2 protocol).
_DEADLINE_SLACK_SECONDS = 0.02
_DEADLINE_ROUNDING = 0.01
_PEERS = 256


class ServerTracingInterceptor(grpc.aio.ServerInterceptor):
    """Starts a span per call under the caller's, makes it current in the handler, and ends it with the final status.

    Place it first, outside of whatever turns exceptions into a status. Messages of a stream cost nothing extra.
    Handlers have to be async; others, and calls of health, reflection and trace export, pass untouched.
    """

    def __init__(self, tracer: Tracer, *, address: str = "") -> None:
        self._tracer = tracer
        self._address = address
        self._wrapped: dict[str, tuple[Handler, Handler]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wraps the handler of the method, once."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not is_traced(method):
            return handler
        known = self._wrapped.get(method)
        if known is None or known[0] is not handler:
            known = self._wrapped[method] = (handler, self._wrap(handler, method))
        return known[1]

    def _wrap(self, handler: Handler, method: str) -> Handler:
        kind = f"{_word(streams=handler.request_streaming)}_{_word(streams=handler.response_streaming)}"
        awaitable = _as_coroutine_function(getattr(handler, kind))
        if awaitable is None:
            return handler
        make = getattr(grpc, f"{kind}_rpc_method_handler")
        traced: Handler = make(
            self._traced(awaitable, method), handler.request_deserializer, handler.response_serializer
        )
        return traced

    def _traced(self, behaviour: Behaviour, method: str) -> Behaviour:
        async def call(request: object, context: ServicerContext) -> object:
            span = self._start(method, context)
            granted: float | None = context.time_remaining()  # None without a deadline, whatever the stubs say
            try:
                with use_span(span, record_exception=False, set_status_on_exception=False):
                    response = await behaviour(request, context)
            except BaseException as error:  # whatever ends the handler ends the span
                _record(span, error)
                end_call_span(span, _code_after(error, context, granted), kind=SpanKind.SERVER)
                raise
            end_call_span(span, _code_set(context) or grpc.StatusCode.OK, kind=SpanKind.SERVER)
            return response

        return call

    def _start(self, method: str, context: ServicerContext) -> Span:
        said = context.invocation_metadata() or ()
        carrier = {key: value for key, value in said if key in CARRIED and isinstance(value, str)}
        # An empty context: what was current when the server started is nobody's parent.
        parent = PROPAGATOR.extract(carrier, context=Context())
        client = _client(context.peer())
        return start_call_span(
            self._tracer, method, SpanKind.SERVER, parent=parent, address=self._address, client=client
        )


def _word(*, streams: bool) -> str:
    return "stream" if streams else "unary"


def _as_coroutine_function(behaviour: Behaviour) -> Behaviour | None:
    if inspect.iscoroutinefunction(behaviour):
        return behaviour
    if not inspect.isasyncgenfunction(behaviour):
        return None

    # A generator around the handler's generator would cost every message a second resumption, and a span that is
    # current across its yields would leak into whoever resumes it. Writing the messages ourselves does neither;
    # gRPC does just the same with a generator. And the handler's clean-up runs now, not when it is collected.
    async def write_all(request: object, context: ServicerContext) -> None:
        async with aclosing(behaviour(request, context)) as responses:
            async for response in responses:
                await context.write(response)

    return write_all


def _code_after(error: BaseException, context: ServicerContext, granted: float | None) -> grpc.StatusCode:
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return grpc.StatusCode.DEADLINE_EXCEEDED if _deadline_passed(context, granted) else grpc.StatusCode.CANCELLED
    code = _code_set(context)
    # gRPC ends a call whose handler raised without a status of its own as UNKNOWN.
    return grpc.StatusCode.UNKNOWN if code is None or code is grpc.StatusCode.OK else code


def _code_set(context: ServicerContext) -> grpc.StatusCode | None:
    return cast("grpc.StatusCode | None", context.code())  # None where nobody set one, whatever the stubs say


def _deadline_passed(context: ServicerContext, granted: float | None) -> bool:
    left: float | None = context.time_remaining()
    return left is not None and left <= _DEADLINE_SLACK_SECONDS + _DEADLINE_ROUNDING * (granted or 0)


def _record(span: Span, error: BaseException) -> None:
    if isinstance(error, grpc.aio.AbortError):
        # An abort in an `except` block: what it answers to is the news.
        cause = error.__context__
        if cause is not None:
            record_failure(span, cause)
    elif isinstance(error, Exception):
        record_failure(span, error)


@lru_cache(_PEERS)
def _client(peer: str) -> Mapping[str, str | int]:
    family, _, rest = peer.partition(":")
    host, _, port = rest.rpartition(":")
    if family not in {"ipv4", "ipv6"} or not port.isdigit():
        return {}
    host = host.replace("%5B", "").replace("%5D", "").strip("[]")
    return {names.CLIENT_ADDRESS: host, names.CLIENT_PORT: int(port)}
