"""Waiting for a trace to be whole: its spans come from several processes, each in its own time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lmos_grpc.cli.mesh.whereabouts import TRACES
from lmos_grpc.traces import SpanKind, highlights, open_span_reader, trace_tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from pathlib import Path

    from lmos_grpc.traces import Span, Trace

_POLL_SECONDS = 0.05


async def finished_trace(
    state: Path, trace_id: str, limit: timedelta, finished: Callable[[Trace], bool]
) -> Trace | None:
    """The trace once it is finished; after the limit as far as it came, None where nothing of it did."""
    trace: Trace | None = None
    try:
        async with asyncio.timeout(limit.total_seconds()):
            while trace is None or not finished(trace):
                await asyncio.sleep(_POLL_SECONDS)
                trace = await asyncio.to_thread(_read, state, trace_id)
    except TimeoutError:
        pass
    return trace


def is_whole(trace: Trace, agents: frozenset[str]) -> bool:
    """Whether it hangs together under one root and holds the work of these agents."""
    trees = trace_tree(trace.spans)
    return len(trees) == 1 and not trees[0].orphan and agents <= {each.service for each in trace.spans}


def stopped_spans(trace: Trace, agents: frozenset[str]) -> tuple[Span, ...]:
    """The spans that say that a turn of one of these agents was cancelled."""
    return tuple(
        each
        for each in trace.spans
        if each.service in agents and each.kind is SpanKind.SERVER and ("code", "CANCELLED") in highlights(each)
    )


def _read(state: Path, trace_id: str) -> Trace | None:
    with open_span_reader(state / TRACES) as reader:
        return reader.get_trace(trace_id)
