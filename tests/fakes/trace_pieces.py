"""Spans of ours in the form in which a sender brings them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from lmos_grpc.traces import SpanKind, SpanStatus
from lmos_grpc.traces.wire import pieces_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lmos_grpc.traces import Span, TracePiece
    from lmos_grpc.traces.span import AttributeValue

_STATUSES = (SpanStatus.UNSET, SpanStatus.OK, SpanStatus.ERROR)
_KINDS = tuple(SpanKind)


def pieces(spans: Iterable[Span]) -> tuple[TracePiece, ...]:
    """What a request with these spans brings."""
    return tuple(pieces_of(ExportTraceServiceRequest(resource_spans=map(_alone, spans))))


def _alone(span: Span) -> ResourceSpans:
    named = KeyValue(key="service.name", value=AnyValue(string_value=span.service))
    return ResourceSpans(resource=Resource(attributes=[named]), scope_spans=[ScopeSpans(spans=[_wire(span)])])


def _wire(span: Span) -> WireSpan:
    return WireSpan(
        trace_id=bytes.fromhex(span.trace_id),
        span_id=bytes.fromhex(span.span_id),
        parent_span_id=bytes.fromhex(span.parent_span_id),
        name=span.name,
        kind=1 + _KINDS.index(span.kind),  # type: ignore[arg-type] # an enum of protobuf is a number
        start_time_unix_nano=span.started_at_ns,
        end_time_unix_nano=span.ended_at_ns,
        status=Status(code=_STATUSES.index(span.status)),  # type: ignore[arg-type] # as above
        attributes=[KeyValue(key=key, value=_value(value)) for key, value in span.attributes.items()],
    )


def _value(value: AttributeValue) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case _:
            return AnyValue(array_value=ArrayValue(values=map(_value, value)))
