"""The control plane as a part of a mesh."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.control_plane import AdsService
from lmos_grpc.rpc import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc.cli.mesh.telemetry_part import TelemetryPart
    from lmos_grpc.clients.live_view import LiveView
    from lmos_grpc.rpc import RunningServer

# Its streams never end by themselves, and an Envoy goes on with what it has.
_DRAIN = timedelta(0)


@asynccontextmanager
async def run_control_plane(view: LiveView, address: str, telemetry: TelemetryPart) -> AsyncIterator[RunningServer]:
    """Tells every Envoy that asks at `address` what is alive."""
    metrics = telemetry.metrics
    ads = AdsService(
        view,
        on_nack=lambda _name, _message: metrics.xds_refused("cluster"),
        on_push=lambda: metrics.xds_pushed("cluster"),
        on_envoys=metrics.envoys_changed,
    )
    async with serve(address, register=ads.add_to_server, services=[], drain=_DRAIN) as server:
        yield server
