"""The composition root: a whole mesh on one machine, one Python process beside one Envoy."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lmos_grpc.cli.mesh.agent_process import agent_processes
from lmos_grpc.cli.mesh.control_plane_part import run_control_plane
from lmos_grpc.cli.mesh.discovery_part import run_discovery
from lmos_grpc.cli.mesh.envoy_part import Upstreams, run_edge
from lmos_grpc.cli.mesh.express_part import run_express
from lmos_grpc.cli.mesh.mesh_settings import ANY
from lmos_grpc.cli.mesh.orchestrator_part import run_orchestrator
from lmos_grpc.cli.mesh.router_processes import router_processes
from lmos_grpc.cli.mesh.rules_part import rules_in_force
from lmos_grpc.cli.mesh.sample_agents import agent_commands
from lmos_grpc.cli.mesh.telemetry_part import TelemetryPart
from lmos_grpc.cli.mesh.traces_part import run_traces
from lmos_grpc.cli.mesh.whereabouts import Whereabouts, noted
from lmos_grpc.cli.running import beside
from lmos_grpc.clients.live_view import LiveView, keep_in_step
from lmos_grpc.errors import EnvironmentFaultError, ungrouped
from lmos_grpc.routing import ExpressLane

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from lmos_grpc.cli.mesh.agent_process import AgentProcess
    from lmos_grpc.cli.mesh.mesh_settings import MeshSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningMesh:
    """A mesh that answers. Addresses are `host:port` with the ports as bound."""

    edge: str
    internal: str
    discovery: str
    otlp: str
    metrics: str
    envoy_admin_port: int
    state: Path
    view: LiveView
    agents: tuple[AgentProcess, ...]


def _silent(_line: str) -> None:
    pass


@asynccontextmanager
async def run_mesh(
    settings: MeshSettings, *, tell: Callable[[str], None] = _silent, tell_log: Callable[[str], None] = _silent
) -> AsyncIterator[RunningMesh]:
    """Runs every part of a mesh until the block ends, and drains them: agents, edge, servers, stores.

    `tell` is called with what people should know (an agent died), `tell_log` with the log lines of agents.
    If a part that the mesh cannot do without ends by itself, the block ends with that failure.

    Raises:
        InvalidConfigurationError: an address must not be listened on.
        EnvironmentFaultError: a port is taken, there is no Envoy, or another mesh uses the state directory.
    """
    settings.check()
    prepare_state(settings.state)
    with ungrouped():
        # What is entered later ends earlier: the order of the drain follows from the order of these lines.
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            telemetry, otlp = await _start_telemetry(stack, settings)
            metrics = await enter(telemetry.metrics_at(settings.metrics))
            discovery = await enter(run_discovery(settings.state, ANY, telemetry))
            view = LiveView()
            stack.enter_context(telemetry.counting(view))
            await enter(beside(keep_in_step(view, discovery.registry)))
            await view.wait_synced()
            ads = await enter(run_control_plane(view, ANY, telemetry))
            orchestrator = await enter(
                run_orchestrator(settings.state, ANY, view, telemetry, settings.routing, turns=settings.turns)
            )
            rules = rules_in_force(
                settings.rules, orchestrator.router, discovery.server.address, settings.state, telemetry.metrics
            )
            await enter(rules)
            upstreams = Upstreams(
                ads=ads.address,
                discovery=discovery.server.address,
                orchestrator=orchestrator.server.address,
                otlp=otlp,
            )
            if settings.routing.express is not ExpressLane.OFF and settings.routers:
                processes = router_processes(settings, upstreams, tell=tell, tell_log=tell_log)
                upstreams = replace(upstreams, express=await enter(processes))
            elif settings.routing.express is not ExpressLane.OFF:
                router = run_express(ANY, view, orchestrator.router, orchestrator.log, telemetry)
                upstreams = replace(upstreams, express=(await enter(router),))
            edge = await enter(
                run_edge(
                    *(settings.state, settings.edge, settings.internal, upstreams),
                    options=settings.edge_options,
                    restarting=tell,
                )
            )
            await orchestrator.line.connect(edge.internal)
            stack.enter_context(noted(settings.state, Whereabouts(edge.edge, edge.internal, otlp, metrics)))
            commands = agent_commands(
                settings.agents,
                options=("--mesh", edge.internal, "--state", str(settings.state.resolve())),
                environment=_agent_environment(settings),
            )
            agents = await enter(agent_processes(commands, tell=tell, tell_log=tell_log, restart=True))
            yield RunningMesh(
                edge=edge.edge,
                internal=edge.internal,
                discovery=discovery.server.address,
                otlp=otlp,
                metrics=metrics,
                envoy_admin_port=edge.admin_port,
                state=settings.state,
                view=view,
                agents=agents,
            )


def prepare_state(state: Path) -> None:
    """Makes the state directory where it is missing.

    Raises:
        EnvironmentFaultError: it cannot be made.
    """
    try:
        # Conversations lie in it: they are nobody else's business.
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFaultError(
            f"cannot make the state directory {state}: {error.strerror}. Choose another with --state DIR.",
            state=str(state),
        ) from error


async def _start_telemetry(stack: AsyncExitStack, settings: MeshSettings) -> tuple[TelemetryPart, str]:
    """The telemetry of this process, and where spans go: the mesh's own store, or the endpoint that was set."""
    sampling = settings.edge_options.sampling
    if settings.otlp_endpoint:
        part = TelemetryPart(settings.otlp_endpoint, settings.record_text, sampling=sampling)
        return part, settings.otlp_endpoint
    # The store is there before the spans, and so before the part that counts lost ones is.
    telemetry = TelemetryPart(record_text=settings.record_text, sampling=sampling)
    lost = telemetry.metrics.spans_lost
    traces = await stack.enter_async_context(run_traces(settings.state, settings.traces, on_lost=lost))
    return replace(telemetry, otlp=traces.address), traces.address


def _agent_environment(settings: MeshSettings) -> dict[str, str]:
    model = settings.model
    given = {
        "LMOS_MODEL": model.name,
        "OPENAI_BASE_URL": model.base_url,
        "OPENAI_API_KEY": model.api_key,
        "LMOS_OTLP_ENDPOINT": settings.otlp_endpoint,
        "LMOS_RECORD_TEXT": "true" if settings.record_text else "",
    }
    return {name: value for name, value in given.items() if value}
