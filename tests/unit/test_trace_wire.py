from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from lmos_grpc.traces import SpanKind, SpanStatus
from lmos_grpc.traces.wire import MAX_ATTRIBUTES, MAX_SPAN_BYTES, MAX_TEXT, pieces_of, span_count, spans_of

if TYPE_CHECKING:
    from lmos_grpc.traces import Span

TRACE_ID, SPAN_ID = bytes(range(16)), bytes(range(8))


def request(*spans: WireSpan, service: str | None = "billing") -> ExportTraceServiceRequest:
    named = [] if service is None else [KeyValue(key="service.name", value=AnyValue(string_value=service))]
    return ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=Resource(attributes=named), scope_spans=[ScopeSpans(spans=spans)])]
    )


def spans_from_request(sent: ExportTraceServiceRequest) -> tuple[Span, ...]:
    return tuple(span for piece in pieces_of(sent) for span in spans_of(piece.service, piece.spans))


def wire(**fields: Any) -> WireSpan:
    return WireSpan(**{"trace_id": TRACE_ID, "span_id": SPAN_ID, "name": "s", **fields})


def attributes(*values: AnyValue) -> list[object]:
    pairs = [KeyValue(key=str(number), value=value) for number, value in enumerate(values)]
    (span,) = spans_from_request(request(wire(attributes=pairs)))
    return list(span.attributes.values())


def test_a_span_keeps_its_ids_times_kind_status_and_service() -> None:
    (span,) = spans_from_request(
        request(
            wire(
                parent_span_id=b"\x01" * 8,
                kind=WireSpan.SPAN_KIND_SERVER,
                start_time_unix_nano=100,
                end_time_unix_nano=350,
                status=Status(code=Status.STATUS_CODE_ERROR),
            )
        )
    )
    assert (span.trace_id, span.span_id, span.parent_span_id) == (TRACE_ID.hex(), SPAN_ID.hex(), "01" * 8)
    assert (span.started_at_ns, span.duration_ns, span.ended_at_ns) == (100, 250, 350)
    assert (span.kind, span.status, span.service) == (SpanKind.SERVER, SpanStatus.ERROR, "billing")


def test_a_service_that_does_not_name_itself_is_unknown() -> None:
    (span,) = spans_from_request(request(wire(), service=None))
    assert span.service == "unknown_service"


def test_spans_without_valid_ids_are_left_out_but_counted() -> None:
    broken = request(wire(trace_id=b"short"), wire(trace_id=bytes(16)), wire(span_id=bytes(8)), wire(span_id=b""))
    assert spans_from_request(broken) == ()
    assert span_count(broken) == 4


def test_a_span_that_ends_before_it_starts_or_after_all_time_has_a_duration_all_the_same() -> None:
    spans = spans_from_request(
        request(
            wire(start_time_unix_nano=10, end_time_unix_nano=5),
            wire(start_time_unix_nano=10, end_time_unix_nano=2**64 - 1),
        )
    )
    assert [span.duration_ns for span in spans] == [0, 2**63 - 11]


def test_attribute_values_become_plain_values() -> None:
    assert attributes(
        AnyValue(string_value="text"),
        AnyValue(bool_value=True),
        AnyValue(int_value=-(2**63)),
        AnyValue(double_value=0.5),
        AnyValue(array_value=ArrayValue(values=[AnyValue(string_value="stop"), AnyValue(int_value=1)])),
        AnyValue(),
    ) == ["text", True, -(2**63), 0.5, ("stop", 1), ""]


def test_maps_and_bytes_become_text() -> None:
    nested = KeyValueList(values=[KeyValue(key="inner", value=AnyValue(int_value=1))])
    mapped, raw = attributes(AnyValue(kvlist_value=nested), AnyValue(bytes_value=b"abc"))
    assert "inner" in str(mapped)
    assert "abc" in str(raw)


def test_what_is_too_large_is_cut() -> None:
    (text,) = attributes(AnyValue(string_value="x" * (MAX_TEXT + 1)))
    assert len(str(text)) == MAX_TEXT
    assert len(attributes(*[AnyValue(int_value=1)] * 1_000)) == MAX_ATTRIBUTES


def test_a_span_that_is_too_large_is_kept_without_what_it_says() -> None:
    text = KeyValue(key="text", value=AnyValue(string_value="x" * MAX_SPAN_BYTES))
    small = KeyValue(key="small", value=AnyValue(int_value=1))
    large, beside = spans_from_request(request(wire(attributes=[text]), wire(span_id=b"\x01" * 8, attributes=[small])))
    assert (large.name, dict(large.attributes), dict(beside.attributes)) == ("s", {}, {"small": 1})


def test_what_a_request_brings_for_each_trace_is_a_piece_of_its_own() -> None:
    other = wire(trace_id=b"\x01" * 16)
    found = [
        (piece.trace_id, piece.span_count) for piece in pieces_of(request(wire(), other, wire(span_id=b"\x01" * 8)))
    ]
    assert found == [(TRACE_ID, 2), (b"\x01" * 16, 1)]


VALUES = st.recursive(
    st.one_of(
        st.builds(AnyValue, string_value=st.text()),
        st.builds(AnyValue, double_value=st.floats()),
        st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1)),
        st.builds(AnyValue, bytes_value=st.binary()),
    ),
    lambda inner: st.lists(inner, max_size=3).map(lambda values: AnyValue(array_value=ArrayValue(values=values))),
    max_leaves=5,
)
SPANS = st.builds(
    WireSpan,
    trace_id=st.binary(min_size=15, max_size=17),
    span_id=st.binary(min_size=7, max_size=9),
    parent_span_id=st.binary(max_size=9),
    name=st.text(),
    kind=st.integers(-(2**31), 2**31 - 1),
    start_time_unix_nano=st.integers(0, 2**64 - 1),
    end_time_unix_nano=st.integers(0, 2**64 - 1),
    status=st.builds(Status, code=st.integers(-(2**31), 2**31 - 1)),
    attributes=st.lists(st.builds(KeyValue, key=st.text(), value=VALUES), max_size=3),
)


@given(st.lists(SPANS, max_size=3))
def test_whatever_a_sender_says_can_be_kept(spans: list[WireSpan]) -> None:
    for span in spans_from_request(request(*spans)):
        assert 0 <= span.duration_ns < 2**63
        assert 0 <= span.started_at_ns < 2**63
        json.dumps(dict(span.attributes))


@given(st.binary(max_size=200))
def test_bytes_that_happen_to_parse_never_break_the_reader(raw: bytes) -> None:
    try:
        parsed = ExportTraceServiceRequest.FromString(raw)
    except DecodeError:
        return
    assert len(spans_from_request(parsed)) <= span_count(parsed)
