"""A span, a trace, and what a list of traces says about one."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

AttributeValue = str | bool | int | float | tuple[str | bool | int | float, ...]


class SpanKind(Enum):
    """On which side of a call a span was made."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


class SpanStatus(Enum):
    """What a span's maker thought of the outcome."""

    UNSET = "unset"
    OK = "ok"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Span:
    """One finished operation. Ids are lower-case hex; times are nanoseconds, the start since the Unix epoch."""

    trace_id: str
    span_id: str
    parent_span_id: str  # empty: a root
    name: str
    kind: SpanKind
    service: str
    started_at_ns: int
    duration_ns: int
    status: SpanStatus = SpanStatus.UNSET
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)

    @property
    def ended_at_ns(self) -> int:
        """When it ended."""
        return self.started_at_ns + self.duration_ns


@dataclass(frozen=True, slots=True)
class TracePiece:
    """Spans of one trace and one service that came together, in the form in which they came (OTLP's ScopeSpans)."""

    trace_id: bytes
    service: str
    span_count: int
    spans: bytes


@dataclass(frozen=True, slots=True)
class Trace:
    """All spans of one trace that are known so far, in the order they started. Never empty."""

    trace_id: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """One line in a list of traces."""

    trace_id: str
    root_name: str
    services: tuple[str, ...]
    started_at_ns: int
    duration_ns: int
    span_count: int
    error: bool


def by_start(spans: Iterable[Span]) -> tuple[Span, ...]:
    """In the order they started; of two that started together the longer one, which may hold the other."""
    return tuple(sorted(spans, key=lambda span: (span.started_at_ns, -span.duration_ns, span.span_id)))


def summarise(trace: Trace) -> TraceSummary:
    """What a list says about a trace: named after its root, or after its first span while the root is missing."""
    started = min(span.started_at_ns for span in trace.spans)
    root = next((span for span in trace.spans if not span.parent_span_id), trace.spans[0])
    return TraceSummary(
        trace_id=trace.trace_id,
        root_name=root.name,
        services=tuple(dict.fromkeys(span.service for span in trace.spans)),
        started_at_ns=started,
        duration_ns=max(span.ended_at_ns for span in trace.spans) - started,
        span_count=len(trace.spans),
        error=any(span.status is SpanStatus.ERROR and not _cancelled(span) for span in trace.spans),
    )


def _cancelled(span: Span) -> bool:
    # The conventions call a cancelled call failed; to a reader, the loser of a race or a caller who left is no error.
    return span.attributes.get("rpc.response.status_code") == "CANCELLED"
