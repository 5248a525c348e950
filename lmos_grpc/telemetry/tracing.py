"""Sets up tracing for one service; several services may live in one process, each with its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from lmos_grpc.telemetry import attributes as names
from lmos_grpc.telemetry.otlp_exporter import OtlpSpanExporter

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.trace import Tracer

# A person who has just asked wants to see the trace now.
_SCHEDULE_DELAY_MILLIS = 200
_QUEUE_SIZE = 8_192


class Tracing:
    """The tracer of one service, and the export of its spans. As an async context manager it shuts down at the end.

    Nothing is registered globally: whoever traces is given `tracer`.
    """

    def __init__(self, provider: TracerProvider, *, capture_content: bool) -> None:
        self._provider = provider
        self.tracer: Tracer = provider.get_tracer("lmos_grpc")
        self.capture_content = capture_content

    async def flush(self) -> None:
        """Exports what has ended so far."""
        # In a thread: the receiver may be served by this very loop.
        await asyncio.to_thread(self._provider.force_flush)

    async def shutdown(self) -> None:
        """Exports what has ended, and ends the export. Spans that end later are lost."""
        await asyncio.to_thread(self._provider.shutdown)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.shutdown()


def start_tracing(
    service_name: str,
    *,
    endpoint: str | None,
    instance_id: str,
    capture_content: bool = False,
    sampling: float = 1.0,
) -> Tracing:
    """Starts tracing for a service and exports to an OTLP/gRPC endpoint (`host:port` or a URL); None: nowhere.

    Without an endpoint spans are made all the same, so that trace context travels on and logs can name the trace.
    `sampling` is the share of the traces that begin here that is taken; all others were decided on where they began.
    `capture_content` is for those who record model calls: whether their text may stand in spans.
    """
    resource = Resource.create(
        {
            names.SERVICE_NAME: service_name,
            names.SERVICE_NAMESPACE: "lmos",
            names.SERVICE_INSTANCE_ID: instance_id,
        }
    )
    provider = TracerProvider(ParentBased(TraceIdRatioBased(sampling)), resource, shutdown_on_exit=False)
    if endpoint is not None:
        provider.add_span_processor(
            BatchSpanProcessor(
                OtlpSpanExporter(endpoint), max_queue_size=_QUEUE_SIZE, schedule_delay_millis=_SCHEDULE_DELAY_MILLIS
            )
        )
    return Tracing(provider, capture_content=capture_content)
