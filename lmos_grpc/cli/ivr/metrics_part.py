"""Where the figures of an edge can be had."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from lmos_grpc.cli.mesh.mesh_settings import split_address
from lmos_grpc.telemetry import serve_metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc.telemetry import CallMetrics


@asynccontextmanager
async def metrics_served(metrics: CallMetrics, address: str) -> AsyncIterator[str]:
    """Serves them at `host:port` until the block ends; gives their URL, empty where the address is.

    Raises:
        EnvironmentFaultError: the address cannot be bound.
    """
    if not address:
        yield ""
        return
    host, port = split_address(address)
    async with serve_metrics(metrics, host, port) as bound:
        yield f"http://{host}:{bound}/metrics"
