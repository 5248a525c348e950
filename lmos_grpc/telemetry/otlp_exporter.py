"""Sends finished spans to an OTLP/gRPC endpoint."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

import grpc
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

_LOG = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 1.0
_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


class OtlpSpanExporter(SpanExporter):
    """Exports to `host:port` or `http://host:port` in plaintext, to `https://host:port` over TLS.

    The library's own exporter retries for ten seconds, in which spans pile up, and logs every attempt. This one
    drops what it cannot deliver in a second, and says so once per outage. Used from the exporting thread only.
    """

    def __init__(self, endpoint: str) -> None:
        scheme, _, rest = endpoint.rpartition("://")
        target = rest.rstrip("/")
        self._endpoint = endpoint
        self._channel = (
            grpc.secure_channel(target, grpc.ssl_channel_credentials(), options=_OPTIONS)
            if scheme == "https"
            else grpc.insecure_channel(target, options=_OPTIONS)
        )
        self._stub = TraceServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated without types
        self._away = False
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Delivers the spans, or drops them."""
        # A receiver that starts beside us gets its second; one that is known to be away delays nobody's shutdown.
        patient = not self._away
        try:
            self._stub.Export(encode_spans(spans), timeout=_TIMEOUT_SECONDS, wait_for_ready=patient)
        except grpc.RpcError as error:
            self._lose(len(spans), error)
            return SpanExportResult.FAILURE
        if self._away:
            _LOG.info("spans reach %s again; %d were lost", self._endpoint, self._lost)
            self._away, self._lost = False, 0
        return SpanExportResult.SUCCESS

    def _lose(self, count: int, error: grpc.RpcError) -> None:
        if not self._away:
            # Every error of a call is a Call, too; the stubs do not say so.
            code = cast("grpc.Call", error).code().name
            _LOG.warning("spans do not reach %s (%s); they are dropped until it answers", self._endpoint, code)
        self._away = True
        self._lost += count

    def shutdown(self) -> None:
        """Closes the channel."""
        self._channel.close()
