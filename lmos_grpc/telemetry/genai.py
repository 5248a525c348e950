"""Spans of agents and models, by OpenTelemetry's GenAI conventions.

https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-spans.md
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind, Status, StatusCode, use_span

from lmos_grpc.telemetry import attributes as names
from lmos_grpc.telemetry.failure import exception_type, record_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.trace import Span, Tracer

    Clock = Callable[[], float]


class ModelCall:
    """One call of a model while it runs."""

    def __init__(self, span: Span, *, capture_content: bool, clock: Clock) -> None:
        self.span = span
        self._capture_content = capture_content
        self._clock = clock
        self._started = clock()
        self._waiting = True

    def first_token(self) -> None:
        """The first piece of the answer came; later calls change nothing."""
        if self._waiting:
            self._waiting = False
            self.span.set_attribute(names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK, self._clock() - self._started)

    def usage(self, input_tokens: int, output_tokens: int) -> None:
        """What the model counted."""
        self.span.set_attribute(names.GEN_AI_USAGE_INPUT_TOKENS, input_tokens)
        self.span.set_attribute(names.GEN_AI_USAGE_OUTPUT_TOKENS, output_tokens)

    def finish(self, reason: str, response_model: str = "") -> None:
        """Why the model stopped (`stop`, `length`, `tool_calls` …), and which model it really was."""
        self.span.set_attribute(names.GEN_AI_RESPONSE_FINISH_REASONS, (reason,))
        if response_model:
            self.span.set_attribute(names.GEN_AI_RESPONSE_MODEL, response_model)

    def asked(self, *messages: tuple[str, str]) -> None:
        """The messages sent, as (role, text); recorded only if content may be captured."""
        if self._capture_content:
            self.span.set_attribute(names.GEN_AI_INPUT_MESSAGES, _messages(messages))

    def answered(self, text: str) -> None:
        """The answer; recorded only if content may be captured."""
        if self._capture_content:
            self.span.set_attribute(names.GEN_AI_OUTPUT_MESSAGES, _messages((("assistant", text),)))


@contextmanager
def model_call(
    tracer: Tracer,
    *,
    model: str,
    provider: str,
    address: str = "",
    port: int | None = None,
    capture_content: bool = False,
    clock: Clock = time.monotonic,
) -> Iterator[ModelCall]:
    """The span `chat {model}` around one call of a model, under the current span.

    It is not made current, so it may stay open across the yields of an async generator. An exception ends it as
    failed, a cancellation as cancelled.
    """
    said: dict[str, str | int] = {
        names.GEN_AI_OPERATION_NAME: "chat",
        names.GEN_AI_PROVIDER_NAME: provider,
        names.GEN_AI_REQUEST_MODEL: model,
    }
    if address:
        said[names.SERVER_ADDRESS] = address
    if port is not None:
        said[names.SERVER_PORT] = port
    span = tracer.start_span(f"chat {model}", kind=SpanKind.CLIENT, attributes=said)
    with _ended(span):
        yield ModelCall(span, capture_content=capture_content, clock=clock)


class AgentTurn:
    """One turn of an agent while it runs."""

    def __init__(self, span: Span) -> None:
        self.span = span

    def capability(self, name: str) -> None:
        """The capability that answers, where it is not known at the start."""
        self.span.set_attribute(names.LMOS_CAPABILITY, name)

    def finish(self, outcome: str, input_tokens: int, output_tokens: int) -> None:
        """How the turn ended, and what the models of it counted, together."""
        self.span.set_attributes(
            {
                names.LMOS_TURN_OUTCOME: outcome,
                names.GEN_AI_USAGE_INPUT_TOKENS: input_tokens,
                names.GEN_AI_USAGE_OUTPUT_TOKENS: output_tokens,
            }
        )

    def fail(self, reason: str) -> None:
        """The turn failed, and its caller is told so in the stream: no exception will."""
        self.span.set_attribute(names.LMOS_ERROR_REASON, reason)
        self.span.set_attribute(names.ERROR_TYPE, reason)
        self.span.set_status(Status(StatusCode.ERROR))


@contextmanager
def agent_turn(
    tracer: Tracer,
    *,
    agent: str,
    conversation_id: str,
    turn_id: str,
    tenant: str,
    channel: str,
    capability: str = "",
    version: str = "",
) -> Iterator[AgentTurn]:
    """The span `invoke_agent {agent}` around one turn; it is current inside the block.

    Do not hold the block open across a `yield` to code that does other work between two items: run the iterator
    with `within_span` there.
    """
    said = {
        names.GEN_AI_OPERATION_NAME: "invoke_agent",
        names.GEN_AI_AGENT_NAME: agent,
        names.GEN_AI_AGENT_VERSION: version,
        names.GEN_AI_CONVERSATION_ID: conversation_id,
        names.LMOS_TURN_ID: turn_id,
        names.LMOS_TENANT: tenant,
        names.LMOS_CHANNEL: channel,
        names.LMOS_CAPABILITY: capability,
    }
    span = tracer.start_span(f"invoke_agent {agent}", attributes={name: value for name, value in said.items() if value})
    with _ended(span), use_span(span, record_exception=False, set_status_on_exception=False):
        yield AgentTurn(span)


@contextmanager
def _ended(span: Span) -> Iterator[None]:
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit):
        span.set_attribute(names.LMOS_CANCELLED, value=True)
        raise
    except BaseException as error:
        record_failure(span, error)
        span.set_attribute(names.ERROR_TYPE, exception_type(error))
        span.set_status(Status(StatusCode.ERROR))
        raise
    finally:
        span.end()


def _messages(messages: tuple[tuple[str, str], ...]) -> str:
    return json.dumps(
        [{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in messages], ensure_ascii=False
    )
