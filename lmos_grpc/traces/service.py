"""Receives spans over OTLP/gRPC, from our own processes and from Envoy."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    DESCRIPTOR,
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from lmos_grpc.errors import StoreUnavailableError
from lmos_grpc.traces.wire import pieces_of, span_count

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import grpc.aio
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from lmos_grpc.traces.span_store import SpanStore

SERVICE_NAME = DESCRIPTOR.services_by_name["TraceService"].full_name
MAX_WAITING_SPANS = 20_000
GATHER = timedelta(milliseconds=150)
_LOG = logging.getLogger(__name__)


class TraceReceiver(TraceServiceServicer):
    """Takes spans at once and stores them later; made by `receive_traces`.

    While the store is slower than the senders, what goes beyond the limit is dropped, counted and told to the
    sender as rejected. No sender ever waits.
    """

    def __init__(
        self, store: SpanStore, *, max_waiting_spans: int, gather: timedelta, on_lost: Callable[[int], None]
    ) -> None:
        self._store = store
        self._gather = gather
        self._room = max_waiting_spans
        self._on_lost = on_lost
        self._waiting: asyncio.Queue[ExportTraceServiceRequest | None] = asyncio.Queue()  # bounded by `_room`
        self._failing = False
        self.lost_spans = 0

    def register(self, server: grpc.aio.Server) -> None:
        """Adds the service to a server; it should have no tracing of its own."""
        add_TraceServiceServicer_to_server(self, server)  # type: ignore[no-untyped-call]  # generated without types

    async def Export(self, request: ExportTraceServiceRequest, _context: object) -> ExportTraceServiceResponse:
        """Takes the spans, all or none."""
        count = span_count(request)
        if count > self._room:
            self._lose(count)
            return ExportTraceServiceResponse(
                partial_success=ExportTracePartialSuccess(rejected_spans=count, error_message="the store is too slow")
            )
        if count:
            self._room -= count
            self._waiting.put_nowait(request)
        return ExportTraceServiceResponse()

    async def run(self) -> None:
        """Stores what comes, everything that waits in one go, until `close`."""
        going_on = True
        while going_on:
            requests = [await self._waiting.get()]
            while not self._waiting.empty():
                requests.append(self._waiting.get_nowait())
            going_on = None not in requests
            if kept := [request for request in requests if request is not None]:
                await self._keep(kept)
            # A transaction costs more than what is in it: what comes now waits for what comes soon.
            if going_on:
                await asyncio.sleep(self._gather.total_seconds())

    def close(self) -> None:
        """Lets `run` end after what waits now."""
        self._waiting.put_nowait(None)

    async def _keep(self, requests: list[ExportTraceServiceRequest]) -> None:
        count = sum(map(span_count, requests))
        try:
            # Lazy: the store's thread takes the requests apart, not the event loop.
            await self._store.add(piece for request in requests for piece in pieces_of(request))
        except StoreUnavailableError as error:
            self._lose(count)
            if not self._failing:
                _LOG.warning("spans are lost: %s", error)
            self._failing = True
        else:
            self._failing = False
        finally:
            self._room += count

    def _lose(self, count: int) -> None:
        self.lost_spans += count
        self._on_lost(count)


@asynccontextmanager
async def receive_traces(
    store: SpanStore,
    *,
    max_waiting_spans: int = MAX_WAITING_SPANS,
    gather: timedelta = GATHER,
    on_lost: Callable[[int], None] = lambda _count: None,
) -> AsyncIterator[TraceReceiver]:
    """A receiver that stores until the block ends, and at the end stores what has come.

    What comes within `gather` is stored together. `on_lost` is called with the number of spans that could not be kept.
    """
    receiver = TraceReceiver(store, max_waiting_spans=max_waiting_spans, gather=gather, on_lost=on_lost)
    async with asyncio.TaskGroup() as group:
        group.create_task(receiver.run())
        try:
            yield receiver
        finally:
            receiver.close()
