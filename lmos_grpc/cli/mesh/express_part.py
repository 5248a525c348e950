"""The express lane as a part of a mesh."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lmos_grpc.express import LaneKeeper, TurnRecorder, serve_router

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc.cli.mesh.orchestrator_part import RunningOrchestrator
    from lmos_grpc.cli.mesh.telemetry_part import TelemetryPart
    from lmos_grpc.clients.live_view import LiveView


@asynccontextmanager
async def run_express(
    address: str, view: LiveView, orchestrator: RunningOrchestrator, telemetry: TelemetryPart
) -> AsyncIterator[str]:
    """Decides at `address` on the turns that Envoy shows, with the router and the log of the orchestrator.

    Gives the address as bound.
    """
    recorder = TurnRecorder(orchestrator.log, now=lambda: datetime.now(UTC))
    keeper = LaneKeeper(orchestrator.router, view, orchestrator.log, recorder, telemetry.metrics)
    async with recorder.running(), serve_router(address, keeper) as bound:
        yield bound
