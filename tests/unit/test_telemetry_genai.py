from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from lmos_grpc.errors import AgentFailedError
from lmos_grpc.telemetry import agent_turn, model_call, within_span

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Tracer

WORDS = "my card is 4711"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter) -> Tracer:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("test")


def only(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = exporter.get_finished_spans()
    return span


def test_a_model_call_follows_the_genai_conventions(tracer: Tracer, exporter: InMemorySpanExporter) -> None:
    ticks = iter((10.0, 10.25, 99.0))
    with model_call(
        tracer, model="small", provider="openai", address="127.0.0.1", port=8000, clock=lambda: next(ticks)
    ) as call:
        call.first_token()
        call.first_token()
        call.usage(12, 34)
        call.finish("stop", "small-2026")
    span = only(exporter)
    assert span.name == "chat small"
    assert span.kind is SpanKind.CLIENT
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "small",
        "server.address": "127.0.0.1",
        "server.port": 8000,
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 34,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.model": "small-2026",
    }


@pytest.mark.parametrize("capture_content", [False, True])
def test_messages_stand_in_a_span_only_if_content_may_be_captured(
    tracer: Tracer, exporter: InMemorySpanExporter, *, capture_content: bool
) -> None:
    with model_call(tracer, model="m", provider="p", capture_content=capture_content) as call:
        call.asked(("system", "be kind"), ("user", WORDS))
        call.answered(WORDS)
    attributes = dict(only(exporter).attributes or {})
    assert ("gen_ai.input.messages" in attributes) is capture_content
    assert ("gen_ai.output.messages" in attributes) is capture_content
    if capture_content:
        assert json.loads(str(attributes["gen_ai.input.messages"]))[1] == {
            "role": "user",
            "parts": [{"type": "text", "content": WORDS}],
        }


def test_an_exception_fails_a_model_call_without_its_text(tracer: Tracer, exporter: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match=WORDS), model_call(tracer, model="m", provider="p"):
        raise ValueError(WORDS)
    span = only(exporter)
    assert span.status.status_code is StatusCode.ERROR
    assert dict(span.attributes or {})["error.type"] == "ValueError"
    assert WORDS not in span.to_json()


def test_a_cancelled_model_call_says_so_and_is_no_error(tracer: Tracer, exporter: InMemorySpanExporter) -> None:
    with pytest.raises(asyncio.CancelledError), model_call(tracer, model="m", provider="p"):
        raise asyncio.CancelledError
    span = only(exporter)
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes or {})["lmos.cancelled"] is True


async def test_a_model_call_may_stay_open_across_the_yields_of_a_generator(
    tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    async def tokens() -> AsyncIterator[str]:
        with model_call(tracer, model="m", provider="p") as call:
            yield "a"
            call.finish("stop")

    with tracer.start_as_current_span("turn") as turn:
        async for _ in tokens():
            assert get_current_span() is turn
    model = exporter.get_finished_spans()[0]
    assert model.parent
    assert model.parent.span_id == turn.get_span_context().span_id


def test_a_turn_is_current_and_holds_the_model_calls(tracer: Tracer, exporter: InMemorySpanExporter) -> None:
    with agent_turn(
        tracer, agent="billing", conversation_id="c1", turn_id="t1", tenant="acme", channel="web", version="1.2.0"
    ) as turn:
        with model_call(tracer, model="m", provider="p"):
            pass
        turn.capability("explain-bill")
        turn.finish("COMPLETED", 1, 2)
    model, span = exporter.get_finished_spans()
    assert model.parent
    assert span.context
    assert model.parent.span_id == span.context.span_id
    assert span.name == "invoke_agent billing"
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "billing",
        "gen_ai.agent.version": "1.2.0",
        "gen_ai.conversation.id": "c1",
        "gen_ai.usage.input_tokens": 1,
        "gen_ai.usage.output_tokens": 2,
        "lmos.turn.id": "t1",
        "lmos.turn.outcome": "COMPLETED",
        "lmos.tenant": "acme",
        "lmos.channel": "web",
        "lmos.capability": "explain-bill",
    }


def test_a_turn_that_fails_in_its_stream_is_an_error_with_its_reason(
    tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    with agent_turn(tracer, agent="a", conversation_id="c", turn_id="t", tenant="x", channel="web") as turn:
        turn.fail("AGENT_FAILED")
    span = only(exporter)
    assert span.status.status_code is StatusCode.ERROR
    assert dict(span.attributes or {})["lmos.error.reason"] == "AGENT_FAILED"


def test_a_turn_that_raises_our_error_is_told_by_its_reason(tracer: Tracer, exporter: InMemorySpanExporter) -> None:
    with (
        pytest.raises(AgentFailedError),
        agent_turn(tracer, agent="a", conversation_id="c", turn_id="t", tenant="x", channel="web"),
    ):
        raise AgentFailedError(WORDS)
    span = only(exporter)
    assert dict(span.attributes or {})["lmos.error.reason"] == "AGENT_FAILED"
    assert WORDS not in span.to_json()


async def test_two_iterators_read_in_turns_each_run_within_their_own_span(tracer: Tracer) -> None:
    async def branch() -> AsyncIterator[int]:
        for _ in range(3):
            yield get_current_span().get_span_context().span_id

    left, right = tracer.start_span("left"), tracer.start_span("right")
    first, second = within_span(left, branch()), within_span(right, branch())
    outside = get_current_span()
    for _ in range(3):
        assert await anext(first) == left.get_span_context().span_id
        assert await anext(second) == right.get_span_context().span_id
        assert get_current_span() is outside
    assert [item async for item in first] == []


async def test_an_exception_passes_through_an_iterator_within_a_span(tracer: Tracer) -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise ValueError(WORDS)

    steps = within_span(tracer.start_span("branch"), broken())
    assert await anext(steps) == 1
    with pytest.raises(ValueError, match=WORDS):
        await anext(steps)
