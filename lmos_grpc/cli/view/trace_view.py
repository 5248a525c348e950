"""How traces look: a list, and one as a tree with its durations as bars."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from lmos_grpc.cli.output import printable
from lmos_grpc.cli.view.figures import ago_text, counted, span_text
from lmos_grpc.traces import SpanKind, SpanStatus, highlights, trace_tree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from lmos_grpc.traces import Span, Trace, TraceNode, TraceSummary

_BAR_WIDTH = 24
_PACKAGE = re.compile(r"^[a-z0-9_.]+\.(?=[A-Z]\w*/)")  # lmos.agent.v1.AgentService/Invoke
_KINDS = {SpanKind.SERVER: "server", SpanKind.CLIENT: "client"}


def trace_table(summaries: Iterable[TraceSummary], now: datetime) -> Table:
    """The last traces, a row each."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("TRACE", "WHEN"):
        table.add_column(heading, no_wrap=True)
    for heading in ("TOOK", "SPANS"):
        table.add_column(heading, no_wrap=True, justify="right")
    table.add_column("WHAT", overflow="fold")
    table.add_column("SERVICES", overflow="fold")
    for each in summaries:
        began = datetime.fromtimestamp(each.started_at_ns / 1e9, UTC)
        what = Text(printable(each.root_name), "red" if each.error else "")
        took, services = span_text(_span(each.duration_ns)), printable(", ".join(each.services))
        table.add_row(each.trace_id[:8], ago_text(began, now), took, str(each.span_count), what, services)
    return table


def show_trace(console: Console, trace: Trace) -> None:
    """Prints a trace as a tree."""
    began = min(each.started_at_ns for each in trace.spans)
    total = max(1, max(each.ended_at_ns for each in trace.spans) - began)
    services = len({each.service for each in trace.spans})
    counts = f"{counted(len(trace.spans), 'span')} · {counted(services, 'service')}"
    head = f"trace {trace.trace_id} · {span_text(_span(total))} · {counts}"
    console.print(Text(head, "bold"), soft_wrap=True)
    lines = [line for node in trace_tree(trace.spans) for line in _lines(node)]
    width = max(len(prefix) + len(_label(node.span)) for prefix, node in lines)
    for prefix, node in lines:
        console.print(_row(prefix, node, width, began, total), soft_wrap=True)


def trace_json(trace: Trace) -> dict[str, Any]:  # Any: JSON values
    """A trace as JSON, its spans in the order they started."""
    return {"traceId": trace.trace_id, "spans": [_span_json(each) for each in trace.spans]}


def summary_json(summary: TraceSummary) -> dict[str, Any]:  # Any: JSON values
    """A line of the list as JSON."""
    return {
        "traceId": summary.trace_id,
        "name": summary.root_name,
        "services": list(summary.services),
        "startedAtNs": summary.started_at_ns,
        "durationNs": summary.duration_ns,
        "spans": summary.span_count,
        "error": summary.error,
    }


def _lines(node: TraceNode) -> list[tuple[str, TraceNode]]:
    # An explicit stack: the depth of a trace is the sender's choice.
    lines: list[tuple[str, TraceNode]] = []
    waiting = [(node, "", "")]
    while waiting:
        each, prefix, rest = waiting.pop()
        lines.append((prefix, each))
        count = len(each.children)
        for index in reversed(range(count)):
            last = index == count - 1
            waiting.append((each.children[index], rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  ")))
    return lines


def _row(prefix: str, node: TraceNode, width: int, began: int, total: int) -> Text:
    span = node.span
    label = _label(span)
    failed = span.status is SpanStatus.ERROR
    row = Text.assemble((prefix, "dim"), (label, "red" if failed else ""), " " * (width - len(prefix) - len(label)))
    row.append("  ")
    row.append(bar(span.started_at_ns - began, span.duration_ns, total), "red" if failed else "cyan")
    row.append(f" {span_text(_span(span.duration_ns)):>9}")
    told = (f"{key} {value}" for key, value in highlights(span) if _tells_more(span, value))
    notes = [*(["parent missing"] if node.orphan else []), *told]
    row.append("  " + printable(" · ".join(notes)) if notes else "", "dim")
    return row


def bar(offset_ns: int, duration_ns: int, total_ns: int, width: int = _BAR_WIDTH) -> str:
    """A span on the time line of its trace, `width` characters in all; the shortest still shows."""
    start = min(width - 1, max(0, offset_ns * width // total_ns))
    length = max(1, min(width - start, round(duration_ns * width / total_ns)))
    return "·" * start + "█" * length + "·" * (width - start - length)


def _tells_more(span: Span, value: str) -> bool:
    return value != "0" and value not in span.name and not span.name.endswith(f" {value.rpartition('/')[2]}")


def _label(span: Span) -> str:
    kind = f" ({_KINDS[span.kind]})" if span.kind in _KINDS else ""
    return printable(f"{span.service}: {_PACKAGE.sub('', span.name)}{kind}")


def _span_json(span: Span) -> dict[str, Any]:  # Any: JSON values
    return {
        "spanId": span.span_id,
        "parentSpanId": span.parent_span_id,
        "name": span.name,
        "kind": span.kind.value,
        "service": span.service,
        "startedAtNs": span.started_at_ns,
        "durationNs": span.duration_ns,
        "status": span.status.value,
        "attributes": dict(span.attributes),
    }


def _span(nanoseconds: int) -> timedelta:
    return timedelta(microseconds=nanoseconds / 1_000)
