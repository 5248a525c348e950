"""OTLP spans become ours; what is no valid span is left out, and what is too large is cut.

https://opentelemetry.io/docs/specs/otlp/ and opentelemetry/proto/trace/v1/trace.proto.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans

from lmos_grpc.telemetry import attributes as names
from lmos_grpc.traces.span import Span, SpanKind, SpanStatus, TracePiece

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

    from lmos_grpc.traces.span import AttributeValue

MAX_TEXT = 16 * 1024
# A span that is larger is kept without what it says beside its name.
MAX_SPAN_BYTES = 256 * 1024
MAX_PIECE_BYTES = MAX_SPAN_BYTES
MAX_ATTRIBUTES = 128
_TRACE_ID_BYTES = 16
_SPAN_ID_BYTES = 8
# SQLite's integers are signed.
_MAX_TIME_NS = 2**63 - 1
_KINDS = (
    SpanKind.INTERNAL,  # unspecified: implementations may assume so
    SpanKind.INTERNAL,
    SpanKind.SERVER,
    SpanKind.CLIENT,
    SpanKind.PRODUCER,
    SpanKind.CONSUMER,
)
_STATUSES = (SpanStatus.UNSET, SpanStatus.OK, SpanStatus.ERROR)


def span_count(request: ExportTraceServiceRequest) -> int:
    """How many spans a request carries, valid or not."""
    return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)


def pieces_of(request: ExportTraceServiceRequest) -> Iterator[TracePiece]:
    """What a request brings for each trace, as it came: only who looks at a trace needs its spans one by one."""
    for resource_spans in request.resource_spans:
        by_trace: dict[bytes, list[WireSpan]] = {}
        for scope in resource_spans.scope_spans:
            for span in scope.spans:
                if _valid(span):
                    by_trace.setdefault(span.trace_id, []).append(span)
        if by_trace:
            service = _service(resource_spans.resource.attributes)
            for trace_id, spans in by_trace.items():
                yield TracePiece(trace_id, service, len(spans), _written(spans))


def spans_of(service: str, written: bytes) -> Iterator[Span]:
    """The spans of a piece."""
    return (_span(span, service) for span in ScopeSpans.FromString(written).spans)


def _written(spans: list[WireSpan]) -> bytes:
    written = ScopeSpans(spans=spans)
    if written.ByteSize() > MAX_PIECE_BYTES:
        for span in written.spans:
            if span.ByteSize() > MAX_SPAN_BYTES:
                span.ClearField("attributes")
                span.ClearField("events")
                span.ClearField("links")
    return written.SerializeToString()


def _valid(wire: WireSpan) -> bool:
    return (
        len(wire.trace_id) == _TRACE_ID_BYTES
        and any(wire.trace_id)
        and len(wire.span_id) == _SPAN_ID_BYTES
        and any(wire.span_id)
    )


def _span(wire: WireSpan, service: str) -> Span:
    started = min(wire.start_time_unix_nano, _MAX_TIME_NS)
    ended = min(wire.end_time_unix_nano, _MAX_TIME_NS)
    return Span(
        trace_id=wire.trace_id.hex(),
        span_id=wire.span_id.hex(),
        parent_span_id=wire.parent_span_id.hex() if any(wire.parent_span_id) else "",
        name=wire.name[:MAX_TEXT],
        kind=_KINDS[wire.kind] if 0 <= wire.kind < len(_KINDS) else SpanKind.INTERNAL,
        service=service,
        started_at_ns=started,
        duration_ns=max(0, ended - started),
        status=_STATUSES[wire.status.code] if 0 <= wire.status.code < len(_STATUSES) else SpanStatus.UNSET,
        attributes={pair.key[:MAX_TEXT]: _value(pair.value) for pair in wire.attributes[:MAX_ATTRIBUTES]},
    )


def _service(attributes: Iterable[KeyValue]) -> str:
    found = next((pair.value.string_value for pair in attributes if pair.key == names.SERVICE_NAME), "")
    # The resource conventions name a service that does not name itself like this.
    return found[:MAX_TEXT] or "unknown_service"


def _value(value: AnyValue) -> AttributeValue:
    if value.WhichOneof("value") == "array_value":
        return tuple(_scalar(each) for each in value.array_value.values[:MAX_ATTRIBUTES])
    return _scalar(value)


def _scalar(value: AnyValue) -> str | bool | int | float:
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value[:MAX_TEXT]
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            return value.double_value
        case None:
            return ""
        case _:  # bytes, maps and arrays of arrays, which nobody reads by a name: as Protobuf prints them
            return str(value)[:MAX_TEXT]
