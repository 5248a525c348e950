"""An Envoy with static routes, and the plain Python relay behind it."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import yaml

from bench.child_process import ChildFailedError, child_process
from bench.mesh_parts import free_address
from bench.toolchain import ROOT
from lmos_grpc.control_plane import find_envoy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_TEMPLATE = Path(__file__).with_name("static_envoy.yaml")
_START_SECONDS = 20.0
_POLL_SECONDS = 0.05
_CONCURRENCY = 2  # as the mesh has it


@dataclass(frozen=True, slots=True)
class Alternatives:
    """Addresses of the static route and of the relay, and the processes that stand behind them."""

    static: str
    relay: str
    envoy_pid: int
    relay_pid: int


@asynccontextmanager
async def run_alternatives(agent: str, folder: Path) -> AsyncIterator[Alternatives]:
    """Runs an Envoy with a static route to `agent`, and with a route to a relay that calls the agent through it."""
    static, relay, relay_server = free_address(), free_address(), free_address()
    bootstrap = _bootstrap(static, relay, agent, relay_server, folder)
    envoy_command = (
        str(find_envoy()),
        "--config-path",
        str(bootstrap),
        "--disable-hot-restart",
        "--log-level",
        "error",
    )
    relay_command = (sys.executable, "-m", "bench.relay", "--listen", relay_server, "--target", static)
    async with (
        child_process("static-envoy", *envoy_command, "--concurrency", str(_CONCURRENCY), folder=folder) as envoy,
        child_process("relay", *relay_command, folder=folder, cwd=ROOT) as running_relay,
    ):
        await running_relay.said("ready", _START_SECONDS)
        await _listening(relay)
        yield Alternatives(static, relay, envoy.pid, running_relay.pid)


def _bootstrap(static: str, relay: str, agent: str, relay_server: str, folder: Path) -> Path:
    ports = {
        "AGENT_PORT": static,
        "RELAY_PORT": relay,
        "AGENT_SERVER_PORT": agent,
        "RELAY_SERVER_PORT": relay_server,
    }
    text = Template(_TEMPLATE.read_text("utf-8")).substitute(
        {name: address.rpartition(":")[2] for name, address in ports.items()}
    )
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / "static-envoy.yaml"
    # Envoy's own parser knows no merge keys, so the anchors are resolved here.
    written.write_text(yaml.safe_dump(yaml.safe_load(text), sort_keys=False), "utf-8")
    return written


async def _listening(address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(_START_SECONDS):
            while True:
                try:
                    _, writer = await asyncio.open_connection(host, int(port))
                except OSError:
                    await asyncio.sleep(_POLL_SECONDS)
                else:
                    writer.close()
                    await writer.wait_closed()
                    return
    except TimeoutError:
        raise ChildFailedError(f"nothing listens on {address} after {_START_SECONDS:g} s") from None
