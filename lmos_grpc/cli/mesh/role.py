"""One part of a mesh in a process of its own; the others are found at the addresses that are set."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from enum import Enum
from typing import TYPE_CHECKING

from lmos_grpc.cli.mesh.control_plane_part import run_control_plane
from lmos_grpc.cli.mesh.discovery_part import run_discovery
from lmos_grpc.cli.mesh.envoy_part import Upstreams, run_edge
from lmos_grpc.cli.mesh.express_part import run_express, run_lone_express
from lmos_grpc.cli.mesh.mesh import prepare_state
from lmos_grpc.cli.mesh.mesh_settings import MeshSettings
from lmos_grpc.cli.mesh.orchestrator_part import run_orchestrator
from lmos_grpc.cli.mesh.rules_part import rules_in_force
from lmos_grpc.cli.mesh.telemetry_part import TelemetryPart
from lmos_grpc.cli.mesh.traces_part import run_traces
from lmos_grpc.cli.running import beside
from lmos_grpc.clients.discovery_client import DiscoveryClient
from lmos_grpc.clients.live_view import LiveView, keep_in_step
from lmos_grpc.errors import InvalidConfigurationError, ungrouped
from lmos_grpc.routing import ExpressLane
from lmos_grpc.rpc import open_channel, require_safe_address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from lmos_grpc.cli.settings import Settings


class Role(Enum):
    """The parts of a mesh."""

    DISCOVERY = "discovery"
    CONTROL_PLANE = "control-plane"
    ORCHESTRATOR = "orchestrator"
    ROUTER = "router"
    TRACES = "traces"
    ENVOY = "envoy"


@asynccontextmanager
async def run_role(role: Role, settings: Settings) -> AsyncIterator[dict[str, str]]:
    """Runs one part until the block ends; gives its addresses by name.

    Raises:
        InvalidConfigurationError: an address must not be listened on.
        EnvironmentFaultError: an address cannot be bound, or there is no Envoy.
    """
    mesh = MeshSettings.of(settings)
    mesh.check()
    prepare_state(mesh.state)
    otlp = "" if role is Role.TRACES else mesh.otlp_endpoint or settings.serve.traces
    telemetry = TelemetryPart(otlp, mesh.record_text, sampling=mesh.edge_options.sampling)
    with ungrouped():
        async with telemetry.metrics_at(mesh.metrics) as metrics, _part(role, settings, mesh, telemetry) as addresses:
            yield {**addresses, "metrics": f"http://{metrics}/metrics"}


def _part(
    role: Role, settings: Settings, mesh: MeshSettings, telemetry: TelemetryPart
) -> AbstractAsyncContextManager[dict[str, str]]:
    match role:
        case Role.DISCOVERY:
            return _discovery(settings, telemetry)
        case Role.CONTROL_PLANE:
            return _control_plane(settings, telemetry)
        case Role.ORCHESTRATOR:
            return _orchestrator(settings, mesh, telemetry)
        case Role.ROUTER:
            return _router(settings, mesh, telemetry)
        case Role.TRACES:
            return _traces(settings, telemetry)
        case Role.ENVOY:
            return _envoy(settings, mesh, telemetry)


@asynccontextmanager
async def _discovery(settings: Settings, telemetry: TelemetryPart) -> AsyncIterator[dict[str, str]]:
    address = _checked(settings, settings.serve.discovery)
    async with run_discovery(settings.mesh.state, address, telemetry) as discovery:
        yield {"discovery": discovery.server.address}


@asynccontextmanager
async def _control_plane(settings: Settings, telemetry: TelemetryPart) -> AsyncIterator[dict[str, str]]:
    address = _checked(settings, settings.serve.control_plane)
    async with _remote_view(settings, telemetry) as view, run_control_plane(view, address, telemetry) as server:
        yield {"control-plane": server.address, "discovery": settings.serve.discovery}


@asynccontextmanager
async def _orchestrator(
    settings: Settings, mesh: MeshSettings, telemetry: TelemetryPart
) -> AsyncIterator[dict[str, str]]:
    address = _checked(settings, settings.serve.orchestrator)
    async with (
        _remote_view(settings, telemetry) as view,
        run_orchestrator(mesh.state, address, view, telemetry, mesh.routing, turns=mesh.turns) as orchestrator,
        rules_in_force(mesh.rules, orchestrator.router, settings.serve.discovery, mesh.state, telemetry.metrics),
        AsyncExitStack() as stack,
    ):
        await orchestrator.line.connect(mesh.internal)
        addresses = {"discovery": settings.serve.discovery, "internal": mesh.internal}
        if mesh.routing.express is not ExpressLane.OFF and not settings.serve.routers_apart:
            # In this process a router need not ask for the state of conversations, nor send its records.
            at = _checked(settings, settings.serve.router)
            router = run_express(at, view, orchestrator.router, orchestrator.log, telemetry)
            addresses["router"] = await stack.enter_async_context(router)
        yield {"orchestrator": orchestrator.server.address, **addresses}


@asynccontextmanager
async def _router(settings: Settings, mesh: MeshSettings, telemetry: TelemetryPart) -> AsyncIterator[dict[str, str]]:
    if mesh.routing.express is ExpressLane.OFF:
        raise InvalidConfigurationError("a router is for the express lane, which is off: say --express on, or asked")
    address = _checked(settings, settings.serve.router)
    orchestrator = settings.serve.orchestrator
    async with (
        _remote_view(settings, telemetry) as view,
        run_lone_express(address, view, orchestrator, mesh, telemetry) as bound,
    ):
        yield {"router": bound, "discovery": settings.serve.discovery, "orchestrator": orchestrator}


@asynccontextmanager
async def _traces(settings: Settings, telemetry: TelemetryPart) -> AsyncIterator[dict[str, str]]:
    address = _checked(settings, settings.serve.traces)
    async with run_traces(settings.mesh.state, address, on_lost=telemetry.metrics.spans_lost) as server:
        yield {"traces": server.address}


@asynccontextmanager
async def _envoy(settings: Settings, mesh: MeshSettings, telemetry: TelemetryPart) -> AsyncIterator[dict[str, str]]:
    serve = settings.serve
    upstreams = Upstreams(
        ads=serve.control_plane,
        discovery=serve.discovery,
        orchestrator=serve.orchestrator,
        otlp=telemetry.otlp,
        express=() if mesh.routing.express is ExpressLane.OFF else tuple(serve.router.split(",")),
    )
    async with run_edge(mesh.state, mesh.edge, mesh.internal, upstreams, options=mesh.edge_options) as edge:
        yield {"edge": edge.edge, "internal": edge.internal}


@asynccontextmanager
async def _remote_view(settings: Settings, telemetry: TelemetryPart) -> AsyncIterator[LiveView]:
    """A live view of discovery over gRPC. It may be empty for as long as discovery is not there."""
    view = LiveView()
    async with open_channel(settings.serve.discovery) as channel:
        feed = DiscoveryClient(channel)
        with telemetry.counting(view):
            async with beside(keep_in_step(view, feed)):
                yield view


def _checked(settings: Settings, address: str) -> str:
    require_safe_address(address, insecure_ok=settings.mesh.insecure_listen)
    return address
