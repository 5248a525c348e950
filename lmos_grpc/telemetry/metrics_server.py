"""Serves the metrics to Prometheus."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from prometheus_client import start_http_server

from lmos_grpc.errors import EnvironmentFaultError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc.telemetry.call_metrics import CallMetrics
    from lmos_grpc.telemetry.metrics import Metrics


@asynccontextmanager
async def serve_metrics(metrics: Metrics | CallMetrics, host: str, port: int) -> AsyncIterator[int]:
    """Serves `http://host:port/metrics` from threads of its own until the block ends; gives the port as bound.

    Raises:
        EnvironmentFaultError: the address cannot be bound.
    """
    try:
        server, thread = start_http_server(port, host, metrics.registry)
    except OSError as error:
        raise EnvironmentFaultError(
            f"cannot serve metrics on {host}:{port}: {error.strerror}. Choose another port, or 0 for any free one.",
            address=f"{host}:{port}",
        ) from error
    try:
        yield server.server_port
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        await asyncio.to_thread(thread.join)
