"""The embedded trace store: takes spans over OTLP, keeps the last traces, and gives them back as trees."""

from lmos_grpc.traces.highlight import highlights
from lmos_grpc.traces.service import SERVICE_NAME, TraceReceiver, receive_traces
from lmos_grpc.traces.span import Span, SpanKind, SpanStatus, Trace, TracePiece, TraceSummary, summarise
from lmos_grpc.traces.span_store import SpanReader, SpanStore
from lmos_grpc.traces.sqlite_span_store import SqliteSpanReader, SqliteSpanStore, open_span_reader, open_span_store
from lmos_grpc.traces.tree import TraceNode, trace_tree

__all__ = [
    "SERVICE_NAME",
    "Span",
    "SpanKind",
    "SpanReader",
    "SpanStatus",
    "SpanStore",
    "SqliteSpanReader",
    "SqliteSpanStore",
    "Trace",
    "TraceNode",
    "TracePiece",
    "TraceReceiver",
    "TraceSummary",
    "highlights",
    "open_span_reader",
    "open_span_store",
    "receive_traces",
    "summarise",
    "trace_tree",
]
