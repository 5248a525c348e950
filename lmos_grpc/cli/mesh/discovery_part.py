"""Discovery as a part of a mesh."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmos_grpc.cli.running import beside
from lmos_grpc.discovery import (
    GrpcCardProbe,
    RegistrationVerifier,
    SqliteRegistryStore,
    open_registry,
    serve_discovery,
)
from lmos_grpc.telemetry import ServerTracingInterceptor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lmos_grpc.cli.mesh.telemetry_part import TelemetryPart
    from lmos_grpc.discovery import Registry
    from lmos_grpc.rpc import RunningServer

REGISTRY = "registry.sqlite"


@dataclass(frozen=True, slots=True)
class RunningDiscovery:
    """A registry, which is a feed for live views in this process, and the server that offers it to others."""

    registry: Registry
    server: RunningServer


@asynccontextmanager
async def run_discovery(state: Path, address: str, telemetry: TelemetryPart) -> AsyncIterator[RunningDiscovery]:
    """Serves discovery at `address` and keeps the registry in the state directory."""
    async with (
        telemetry.tracing("lmos-discovery") as tracing,
        SqliteRegistryStore.open(state / REGISTRY) as store,
        open_registry(store) as host,
        beside(host.run()),
        serve_discovery(
            address,
            host.registry,
            RegistrationVerifier(host.registry, GrpcCardProbe()),
            interceptors=[ServerTracingInterceptor(tracing.tracer)],
        ) as server,
    ):
        yield RunningDiscovery(host.registry, server)
