"""Envoy as a part of a mesh."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmos_grpc.cli.mesh.mesh_settings import split_address
from lmos_grpc.cli.running import beside
from lmos_grpc.control_plane import EnvoySettings, run_envoy
from lmos_grpc.errors import EnvironmentFaultError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lmos_grpc.control_plane import RunningEnvoy

LOG = "envoy.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstreams:
    """Where Envoy finds the parts of the mesh, as `host:port`.

    `otlp` is empty where spans go nowhere, and `express`, the routers, where the express lane is not open.
    """

    ads: str
    discovery: str
    orchestrator: str
    otlp: str = ""
    express: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listeners:
    """Where Envoy listens, with the ports as bound."""

    edge: str
    internal: str
    admin_port: int


@asynccontextmanager
async def run_edge(state: Path, edge: str, internal: str, upstreams: Upstreams) -> AsyncIterator[Listeners]:
    """Runs Envoy; its bootstrap and log lie in the state directory. If it ends by itself, so does the block.

    Raises:
        EnvironmentFaultError: there is no Envoy, a port is taken, or Envoy ended.
    """
    (edge_host, edge_port), (internal_host, internal_port) = split_address(edge), split_address(internal)
    settings = EnvoySettings(
        orchestrator=(upstreams.orchestrator,),
        discovery=(upstreams.discovery,),
        conversation=(upstreams.orchestrator,),
        reflection=(upstreams.orchestrator,),
        ads=(upstreams.ads,),
        express=upstreams.express,
        edge_host=edge_host,
        edge_port=edge_port,
        internal_host=internal_host,
        internal_port=internal_port,
        admin_port=0,
        otlp=_without_scheme(upstreams.otlp) or None,
    )
    log = state / LOG
    async with run_envoy(settings, log_path=log) as envoy, beside(_stays(envoy, log)):
        yield Listeners(f"{edge_host}:{envoy.edge_port}", f"{internal_host}:{envoy.internal_port}", envoy.admin_port)


async def _stays(envoy: RunningEnvoy, log: Path) -> None:
    code = await envoy.exited()
    raise EnvironmentFaultError(f"Envoy ended by itself with code {code}; its log is {log}")


def _without_scheme(endpoint: str) -> str:
    # Exporters take a URL as well; Envoy dials a plain address.
    return endpoint.removeprefix("http://").rstrip("/")
