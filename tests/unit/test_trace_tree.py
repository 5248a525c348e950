from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from lmos_grpc.traces import Span, SpanKind, SpanStatus, Trace, highlights, summarise, trace_tree


def span(span_id: str, parent: str = "", *, start: int = 0, duration: int = 10, name: str = "", **more: object) -> Span:
    made = Span("t", span_id, parent, name or span_id, SpanKind.INTERNAL, "service", start, duration)
    return made if not more else Span(*(more.get(field, getattr(made, field)) for field in Span.__slots__))  # type: ignore[arg-type]  # fields by name


def test_spans_become_one_tree_whose_children_stand_in_the_order_they_started() -> None:
    (root,) = trace_tree([span("c", "a", start=5), span("d", "c", start=6), span("b", "a", start=3), span("a")])
    assert [(node.span.span_id, node.depth, node.orphan) for node in root.flatten()] == [
        ("a", 0, False),
        ("b", 1, False),
        ("c", 1, False),
        ("d", 2, False),
    ]


def test_a_span_whose_parent_is_missing_stands_at_the_top_and_is_flagged() -> None:
    trees = trace_tree([span("a"), span("x", "lost", start=2), span("y", "x", start=3)])
    assert [(tree.span.span_id, tree.orphan) for tree in trees] == [("a", False), ("x", True)]
    assert [child.span.span_id for child in trees[1].children] == ["y"]
    assert not trees[1].children[0].orphan


def test_spans_in_a_circle_are_shown_once_each() -> None:
    trees = trace_tree([span("a", "b", start=1), span("b", "a", start=2), span("c", "c", start=3)])
    assert [[node.span.span_id for node in tree.flatten()] for tree in trees] == [["a", "b"], ["c"]]
    assert all(tree.orphan for tree in trees)


def test_of_two_spans_that_start_together_the_longer_comes_first() -> None:
    trees = trace_tree([span("b", duration=1), span("a", duration=2)])
    assert [tree.span.span_id for tree in trees] == ["a", "b"]


def test_a_trace_deeper_than_pythons_recursion_is_no_problem() -> None:
    (root,) = trace_tree([span(f"{depth}", f"{depth - 1}" if depth else "", start=depth) for depth in range(5_000)])
    assert root.flatten()[-1].depth == 4_999


def test_no_spans_make_no_tree() -> None:
    assert trace_tree([]) == ()


IDS = st.sampled_from("abcdefgh")


@given(st.lists(st.builds(span, IDS, st.one_of(st.just(""), IDS), start=st.integers(0, 5))))
def test_whatever_the_parents_are_every_span_is_in_the_tree_exactly_once(spans: list[Span]) -> None:
    shown = Counter(node.span.span_id for tree in trace_tree(spans) for node in tree.flatten())
    assert shown == Counter({each.span_id for each in spans})


@given(
    st.lists(st.builds(span, IDS, st.one_of(st.just(""), IDS), start=st.integers(0, 5)), unique_by=lambda s: s.span_id)
)
def test_a_child_stands_one_below_its_parent(spans: list[Span]) -> None:
    for tree in trace_tree(spans):
        for node in tree.flatten():
            assert all(child.depth == node.depth + 1 for child in node.children)
            assert all(child.span.parent_span_id == node.span.span_id for child in node.children)


def test_a_summary_is_named_after_the_root_and_spans_from_the_first_start_to_the_last_end() -> None:
    trace = Trace("t", (span("early", "lost", start=5), span("root", start=10, duration=90)))
    summary = summarise(trace)
    assert (summary.root_name, summary.started_at_ns, summary.duration_ns, summary.span_count) == ("root", 5, 95, 2)
    assert summary.services == ("service",)
    assert not summary.error


def test_a_summary_without_a_root_is_named_after_its_first_span() -> None:
    assert summarise(Trace("t", (span("early", "lost"), span("late", "early", start=5)))).root_name == "early"


def test_an_error_in_any_span_is_an_error_of_the_trace_but_a_cancelled_call_is_none() -> None:
    failed = span("a", status=SpanStatus.ERROR)
    cancelled = span("b", status=SpanStatus.ERROR, attributes={"rpc.response.status_code": "CANCELLED"})
    assert summarise(Trace("t", (failed,))).error
    assert not summarise(Trace("t", (cancelled,))).error


def test_highlights_of_our_spans_say_agent_model_and_tokens() -> None:
    attributes = {
        "gen_ai.agent.name": "billing",
        "gen_ai.request.model": "asked",
        "gen_ai.response.model": "answered",
        "gen_ai.usage.input_tokens": 0,
        "gen_ai.response.finish_reasons": ("stop",),
        "rpc.method": "a.B/C",
        "rpc.response.status_code": "OK",
    }
    assert highlights(span("s", name="a.B/C", attributes=attributes)) == (
        ("agent", "billing"),
        ("model", "answered"),
        ("tokens in", "0"),
        ("finish", "stop"),
    )


def test_highlights_of_a_decision_say_its_mode_and_targets() -> None:
    attributes = {"lmos.route.mode": "classification", "lmos.route.targets": ("billing", "contracts")}
    assert highlights(span("s", attributes=attributes)) == (("route", "classification"), ("to", "billing, contracts"))
    assert highlights(span("s", attributes={"lmos.route.targets": ()})) == ()


def test_highlights_of_envoys_spans_say_cluster_flags_and_code() -> None:
    attributes = {
        "upstream_cluster": "raw",
        "upstream_cluster.name": "billing-agent",
        "response_flags": "-",
        "grpc.status_code": "14",
        "grpc.path": "/lmos.agent.v1.AgentService/Invoke",
    }
    assert highlights(span("s", name="ingress", attributes=attributes)) == (
        ("cluster", "billing-agent"),
        ("method", "lmos.agent.v1.AgentService/Invoke"),
        ("code", "14"),
    )
