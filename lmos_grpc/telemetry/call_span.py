"""The span of one gRPC call: which calls have one, what it says, and when it counts as failed.

https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from lmos_grpc.telemetry import attributes as names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

# W3C trace context: the only form that Envoy's OpenTelemetry tracer reads and writes.
PROPAGATOR = TraceContextTextMapPropagator()
CARRIED = frozenset(PROPAGATOR.fields)
# Machinery that says nothing about a turn; a span per exported span would never end.
_UNTRACED = (
    "grpc.health.",
    "grpc.reflection.",
    "opentelemetry.proto.collector.",
    # Of routers and agents, once per turn and in nobody's trace.
    "lmos.conversation.v1.ConversationService/GetRoutingState",
    "lmos.conversation.v1.ConversationService/RecordTurn",
)
# The client's fault is no failure of the server: its span stays unset for the other codes.
_SERVER_ERRORS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)


def is_traced(method: str) -> bool:
    """Whether calls of `/package.Service/Method` have spans: health, reflection and trace export have none."""
    return not method.removeprefix("/").startswith(_UNTRACED)


def start_call_span(
    tracer: Tracer,
    method: str,
    kind: SpanKind,
    *,
    parent: Context | None = None,
    address: str = "",
    client: Mapping[str, str | int] | None = None,
) -> Span:
    """Starts the span of a call; `address` is the server's `host:port`, and `client` tells of the client, if known."""
    name = method.removeprefix("/")
    said: dict[str, str | int] = {names.RPC_SYSTEM_NAME: "grpc", names.RPC_METHOD: name, **(client or {})}
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        said |= {names.SERVER_ADDRESS: host.strip("[]"), names.SERVER_PORT: int(port)}
    return tracer.start_span(name, context=parent, kind=kind, attributes=said)


def end_call_span(span: Span, code: grpc.StatusCode, *, kind: SpanKind) -> None:
    """Ends the span with the status code that the call ended with on the wire."""
    span.set_attribute(names.RPC_RESPONSE_STATUS_CODE, code.name)
    failed = code in _SERVER_ERRORS if kind is SpanKind.SERVER else code is not grpc.StatusCode.OK
    if failed:
        span.set_attribute(names.ERROR_TYPE, code.name)
        span.set_status(Status(StatusCode.ERROR))
    span.end()
