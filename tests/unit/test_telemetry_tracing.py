from __future__ import annotations

import asyncio
import logging
import socket
import time
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from lmos_grpc.telemetry import start_tracing
from lmos_grpc.telemetry.otlp_exporter import OtlpSpanExporter

if TYPE_CHECKING:
    import pytest


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


async def test_without_an_endpoint_spans_have_ids_all_the_same() -> None:
    async with start_tracing("service", endpoint=None, instance_id="1") as tracing:
        with tracing.tracer.start_as_current_span("work") as span:
            assert span.get_span_context().is_valid


async def test_several_services_in_one_process_keep_their_names() -> None:
    async with (
        start_tracing("one", endpoint=None, instance_id="1") as one,
        start_tracing("two", endpoint=None, instance_id="2", capture_content=True) as two,
    ):
        spans = [tracing.tracer.start_span("s") for tracing in (one, two)]
        assert [span.resource.attributes["service.name"] for span in spans if isinstance(span, ReadableSpan)] == [
            "one",
            "two",
        ]
        assert (one.capture_content, two.capture_content) == (False, True)


async def test_an_endpoint_that_is_away_is_warned_of_once_and_delays_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    exporter = OtlpSpanExporter(f"http://127.0.0.1:{free_port()}")
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            assert await asyncio.to_thread(exporter.export, []) is SpanExportResult.FAILURE
        started = time.monotonic()
        assert await asyncio.to_thread(exporter.export, []) is SpanExportResult.FAILURE
        assert time.monotonic() - started < 0.5
    exporter.shutdown()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_shutdown_ends_in_time_when_the_endpoint_is_away() -> None:
    tracing = start_tracing("service", endpoint=f"127.0.0.1:{free_port()}", instance_id="1")
    for _ in range(2_000):
        tracing.tracer.start_span("work").end()
    async with asyncio.timeout(5):
        await tracing.shutdown()
