from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from lmos_grpc.telemetry import configure_logging

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS = "my card is 4711"
LOG = logging.getLogger("lmos_grpc.test")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield io.StringIO()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    for handler in before:
        root.addHandler(handler)
    root.setLevel(level)


def fail() -> None:
    raise ValueError(WORDS)


def fail_and_log() -> None:
    try:
        fail()
    except ValueError:
        LOG.exception("a handler of %s failed", "Invoke")


def line(stream: io.StringIO) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(stream.getvalue())
    return parsed


def test_a_json_line_has_time_level_logger_message_and_extra_fields(stream: io.StringIO) -> None:
    configure_logging("INFO", json=True, stream=stream)
    LOG.info("agent %s is ready", "billing", extra={"agent": "billing"})
    said = line(stream)
    assert said.pop("time").endswith("+00:00")
    assert said == {
        "level": "INFO",
        "logger": "lmos_grpc.test",
        "message": "agent billing is ready",
        "agent": "billing",
    }


def test_a_json_line_names_the_current_trace(stream: io.StringIO) -> None:
    configure_logging("INFO", json=True, stream=stream)
    with TracerProvider(shutdown_on_exit=False).get_tracer("t").start_as_current_span("s") as span:
        LOG.info("hello")
    context = span.get_span_context()
    said = line(stream)
    assert (said["trace_id"], said["span_id"]) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")


@pytest.mark.parametrize("json", [True, False])
@pytest.mark.parametrize("capture_content", [True, False])
def test_the_text_of_an_exception_is_logged_only_if_content_may_be_captured(
    stream: io.StringIO, *, json: bool, capture_content: bool
) -> None:
    configure_logging("INFO", json=json, capture_content=capture_content, stream=stream)
    fail_and_log()
    assert (WORDS in stream.getvalue()) is capture_content
    assert "ValueError" in stream.getvalue()
    assert "raise ValueError(WORDS)" in stream.getvalue()


def test_a_console_line_is_for_people_and_names_the_trace_in_short(stream: io.StringIO) -> None:
    configure_logging(logging.INFO, json=False, stream=stream)
    with TracerProvider(shutdown_on_exit=False).get_tracer("t").start_as_current_span("s") as span:
        LOG.warning("hello")
    said = stream.getvalue()
    assert "WARNING lmos_grpc.test: hello" in said
    assert f"[{span.get_span_context().trace_id:032x}"[:9] in said


def test_logging_may_be_configured_again_and_says_nothing_twice(stream: io.StringIO) -> None:
    configure_logging("INFO", json=False, stream=stream)
    configure_logging("WARNING", json=False, stream=stream)
    LOG.info("too quiet")
    LOG.warning("once")
    assert stream.getvalue().count("\n") == 1
