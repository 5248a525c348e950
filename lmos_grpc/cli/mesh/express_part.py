"""The express lane as a part of a mesh."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from lmos_grpc.express import ExpressService, LaneKeeper, TurnRecorder
from lmos_grpc.rpc import serve
from lmos_grpc.telemetry import ServerTracingInterceptor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc.cli.mesh.orchestrator_part import RunningOrchestrator
    from lmos_grpc.cli.mesh.telemetry_part import TelemetryPart
    from lmos_grpc.clients.live_view import LiveView
    from lmos_grpc.rpc import RunningServer

# A decision takes about a millisecond; a turn whose router goes away has the orchestrator.
_DRAIN = timedelta(seconds=1)


@asynccontextmanager
async def run_express(
    address: str, view: LiveView, orchestrator: RunningOrchestrator, telemetry: TelemetryPart
) -> AsyncIterator[RunningServer]:
    """Decides at `address` on the turns that Envoy shows, with the router and the log of the orchestrator."""
    recorder = TurnRecorder(orchestrator.log, now=lambda: datetime.now(UTC))
    keeper = LaneKeeper(orchestrator.router, view, orchestrator.log, recorder, telemetry.metrics)
    async with (
        telemetry.tracing("lmos-router") as tracing,
        recorder.running(),
        serve(
            address,
            register=ExpressService(keeper).add_to_server,
            services=[],
            interceptors=[ServerTracingInterceptor(tracing.tracer)],
            drain=_DRAIN,
        ) as server,
    ):
        yield server
