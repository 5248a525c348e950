"""Puts the spans of a trace into a tree, as far as their parents are known."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmos_grpc.traces.span import by_start

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lmos_grpc.traces.span import Span


@dataclass(frozen=True, slots=True)
class TraceNode:
    """A span with the spans below it. An orphan has a parent that is not (yet) known; it stands at the top."""

    span: Span
    children: tuple[TraceNode, ...]
    depth: int
    orphan: bool

    def flatten(self) -> tuple[TraceNode, ...]:
        """This node and all below it, each parent right before its children."""
        flat, open_nodes = [], [self]
        while open_nodes:
            node = open_nodes.pop()
            flat.append(node)
            open_nodes.extend(reversed(node.children))
        return tuple(flat)


def trace_tree(spans: Iterable[Span]) -> tuple[TraceNode, ...]:
    """The trees of a trace, in the order they started: one, if nothing is missing. Every span is in it exactly once.

    Spans that are each other's ancestors, which only a broken sender makes, are opened at the earliest of them,
    and that one is an orphan. No recursion: the depth is the sender's choice.
    """
    ordered = by_start({span.span_id: span for span in spans}.values())
    by_id = {span.span_id: span for span in ordered}
    children: dict[str, list[Span]] = defaultdict(list)
    for span in ordered:
        children[span.parent_span_id].append(span)
    tops = [span for span in ordered if span.parent_span_id not in by_id]
    depths = _depths((*tops, *ordered), children)
    nodes: dict[str, TraceNode] = {}
    for span_id, depth in reversed(depths.items()):  # children before their parents
        span = by_id[span_id]
        below = tuple(nodes[child.span_id] for child in children[span_id] if child.span_id in nodes)
        nodes[span_id] = TraceNode(span, below, depth, orphan=depth == 0 and bool(span.parent_span_id))
    return tuple(nodes[span.span_id] for span in ordered if depths[span.span_id] == 0)


def _depths(starts: Iterable[Span], children: Mapping[str, Sequence[Span]]) -> dict[str, int]:
    # In the order of a walk, each parent before its children; what no start reaches before is a start itself.
    depths: dict[str, int] = {}
    for start in starts:
        waiting = [(start, 0)]
        while waiting:
            span, depth = waiting.pop()
            if span.span_id not in depths:
                depths[span.span_id] = depth
                waiting.extend((child, depth + 1) for child in children.get(span.span_id, ()))
    return depths
