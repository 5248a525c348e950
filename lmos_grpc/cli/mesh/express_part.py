"""The express lane as a part of a mesh: beside the orchestrator, or in a process of its own."""

from __future__ import annotations

from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lmos_grpc.cli.mesh.classifier_part import run_classifier
from lmos_grpc.cli.mesh.rules_part import rules_followed
from lmos_grpc.conversation import ConversationClient
from lmos_grpc.express import LaneKeeper, TurnRecorder, serve_router
from lmos_grpc.routing import Router
from lmos_grpc.rpc import open_channel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc.cli.mesh.mesh_settings import MeshSettings
    from lmos_grpc.cli.mesh.telemetry_part import TelemetryPart
    from lmos_grpc.clients.live_view import LiveView
    from lmos_grpc.express import Conversations


@asynccontextmanager
async def run_express(
    address: str, view: LiveView, router: Router, conversations: Conversations, telemetry: TelemetryPart
) -> AsyncIterator[str]:
    """Decides at `address` on the turns that Envoy shows; gives the address as bound."""
    recorder = TurnRecorder(conversations, now=lambda: datetime.now(UTC))
    keeper = LaneKeeper(router, view, conversations, recorder, telemetry.metrics)
    async with recorder.running(), serve_router(address, keeper) as bound:
        yield bound


@asynccontextmanager
async def run_lone_express(
    address: str, view: LiveView, orchestrator: str, mesh: MeshSettings, telemetry: TelemetryPart
) -> AsyncIterator[str]:
    """As `run_express`, where the log of conversations is that of the orchestrator at `orchestrator`."""
    async with (
        open_channel(orchestrator) as channel,
        run_classifier(mesh.routing.classifier, telemetry.metrics) as classifier,
    ):
        with closing(Router(view, classifier, mesh.routing)) as router:
            async with (
                rules_followed(mesh.rules, router, telemetry.metrics),
                run_express(address, view, router, ConversationClient(channel), telemetry) as bound,
            ):
                yield bound
