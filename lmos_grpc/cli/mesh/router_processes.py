"""Routers of the express lane as child processes, for a machine with cores to spare."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lmos_grpc.cli.mesh.agent_process import AgentCommand, agent_processes
from lmos_grpc.rpc import chosen_transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from lmos_grpc.cli.mesh.envoy_part import Upstreams
    from lmos_grpc.cli.mesh.mesh_settings import MeshSettings


@asynccontextmanager
async def router_processes(
    settings: MeshSettings, upstreams: Upstreams, *, tell: Callable[[str], None], tell_log: Callable[[str], None]
) -> AsyncIterator[tuple[str, ...]]:
    """Runs as many routers as the settings say until the block ends; gives their addresses, where they soon answer."""
    addresses = tuple(_free_address() for _ in range(settings.routers))
    commands = [router_command(number, address, settings, upstreams) for number, address in enumerate(addresses, 1)]
    async with agent_processes(commands, tell=tell, tell_log=tell_log, restart=True):
        yield addresses


def router_command(number: int, address: str, settings: MeshSettings, upstreams: Upstreams) -> AgentCommand:
    """How to start a router that decides as the one beside the orchestrator would, whatever file that was told by."""
    environment = {"LMOS_CLASSIFIER": settings.routing.classifier.value, "LMOS_TRANSPORT": chosen_transport().value}
    options = _options(settings, upstreams, address)
    return AgentCommand(f"router {number}", "router", Path.cwd(), options, environment, ("serve",))


def _options(settings: MeshSettings, upstreams: Upstreams, address: str) -> tuple[str, ...]:
    told = {
        "--router": address,
        "--discovery": upstreams.discovery,
        "--orchestrator": upstreams.orchestrator,
        "--express": settings.routing.express.value,
        "--state": str(settings.state.resolve()),
        "--metrics": "127.0.0.1:0",
    }
    fallback = ("--fallback-agent", settings.routing.fallback_agent) if settings.routing.fallback_agent else ()
    rules = (part for path in settings.rules for part in ("--rules", str(path.resolve())))
    return (*(part for pair in told.items() for part in pair), *fallback, *rules)


def _free_address() -> str:
    # A router that is started again has to come back where Envoy looks for it.
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"
