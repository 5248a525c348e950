"""Envoy as a part of a mesh."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.cli.mesh.mesh_settings import split_address
from lmos_grpc.cli.running import beside
from lmos_grpc.control_plane import EnvoySettings, run_envoy
from lmos_grpc.errors import EnvironmentFaultError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from lmos_grpc.cli.mesh.edge_options import EdgeOptions
    from lmos_grpc.control_plane import RunningEnvoy

LOG = "envoy.log"
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=1), timedelta(seconds=30)
_WELL_AFTER = timedelta(seconds=60)


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
async def run_edge(
    state: Path,
    edge: str,
    internal: str,
    upstreams: Upstreams,
    *,
    options: EdgeOptions,
    restarting: Callable[[str], None] | None = None,
) -> AsyncIterator[Listeners]:
    """Runs Envoy; its bootstrap and log lie in the state directory.

    If it ends by itself, it is started again at the same ports and `restarting` is told; without that, the block ends.

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
        otlp=_plain(upstreams.otlp) or None,
        sampling=options.sampling,
        router_limit=options.router_limit,
        allowed_origins=options.allowed_origins,
    )
    log = state / LOG
    async with run_envoy(settings, log_path=log) as envoy:
        bound = replace(
            settings, edge_port=envoy.edge_port, internal_port=envoy.internal_port, admin_port=envoy.admin_port
        )
        watching = _kept(envoy, bound, log, restarting) if restarting else _stays(envoy, log)
        async with beside(watching):
            edge, internal = f"{edge_host}:{envoy.edge_port}", f"{internal_host}:{envoy.internal_port}"
            yield Listeners(edge, internal, envoy.admin_port)


async def _kept(envoy: RunningEnvoy, settings: EnvoySettings, log: Path, tell: Callable[[str], None]) -> None:
    pause, began = _FIRST_PAUSE, time.monotonic()
    told = _ended(await envoy.exited(), log)
    while True:
        pause = _FIRST_PAUSE if time.monotonic() - began > _WELL_AFTER.total_seconds() else pause
        tell(f"! {told}; starting it again in {pause.total_seconds():g} s")
        await asyncio.sleep(pause.total_seconds())
        pause, began = min(2 * pause, _LONGEST_PAUSE), time.monotonic()
        try:
            async with run_envoy(settings, log_path=log) as again:
                tell("Envoy is back")
                told = _ended(await again.exited(), log)
        except EnvironmentFaultError as error:
            told = str(error)


async def _stays(envoy: RunningEnvoy, log: Path) -> None:
    raise EnvironmentFaultError(_ended(await envoy.exited(), log))


def _ended(code: int, log: Path) -> str:
    return f"Envoy ended by itself with code {code}; its log is {log}"


def _plain(endpoint: str) -> str:
    # Exporters take a URL as well; Envoy takes a plain address, or one over TLS.
    return endpoint.removeprefix("http://").rstrip("/")
