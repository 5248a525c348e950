"""The real mesh, each part in a process of its own, so that the CPU of each can be told."""

from __future__ import annotations

import asyncio
import random
import socket
import sys
import urllib.request
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.child_process import child_process
from bench.process_figures import children, resident_mb
from bench.toolchain import ROOT
from lmos_grpc.cli.command.serve import serve
from lmos_grpc.cli.mesh.role import Role

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from bench.child_process import ChildProcess

_ANY = "127.0.0.1:0"
_OWN_PORTS = (20_000, 32_000)
_START_SECONDS = 60.0
_ADMIN_SECONDS = 5
# Each part is told where those of the stages before it are; Envoy names them all and comes last. Parts that are not
# named here, because they are newer, belong to the stage in the middle.
_FIRST = (Role.TRACES, Role.DISCOVERY)
# The orchestrator has a router beside it, unless it is told that there are others.
_OWN_PROCESS = (Role.ROUTER,)


@dataclass(frozen=True, slots=True)
class MeshParts:
    """A running mesh; `pids` by the name of the part."""

    edge: str
    internal: str
    pids: Mapping[str, int]
    folder: Path

    @property
    def python_parts(self) -> tuple[str, ...]:
        """The parts that are Python."""
        return tuple(name for name in self.pids if name != "envoy")

    def memory_mb(self) -> dict[str, float]:
        """Resident memory of each part."""
        return {name: resident_mb(pid) for name, pid in self.pids.items()}

    async def control_bytes(self) -> float:
        """How many bytes Envoy has received from the control plane so far."""
        admin = (self.folder / "envoy" / "envoy-admin-address.txt").read_text("utf-8").strip()
        url = f"http://{admin}/stats?filter=cluster.ads.upstream_cx_rx_bytes_total"
        return float((await asyncio.to_thread(_get, url)).rpartition(":")[2])


@asynccontextmanager
async def run_mesh_parts(folder: Path, *, express: bool = False) -> AsyncIterator[MeshParts]:
    """Runs a whole mesh as `lmos serve` does, until the block ends; logs and state lie in `folder`.

    With `express` the express lane is open to all turns that can take it, if this build has it.
    """
    # The orchestrator and Envoy name each other, so one of them has to know its port beforehand.
    addresses = {"internal": free_address()}
    lane = _express_options() if express else ()
    pids: dict[str, int] = {}
    async with AsyncExitStack() as stack:
        middle = tuple(each for each in Role if each not in (*_FIRST, *_OWN_PROCESS, Role.ENVOY))
        for stage in (_FIRST, middle, (Role.ENVOY,)):
            parts = {role.value: await _start(stack, role, folder, addresses, lane) for role in stage}
            for name, part in parts.items():
                listens = "edge" if name == Role.ENVOY.value else name
                addresses[listens] = str((await part.said("ready", _START_SECONDS))[listens])
                pids[name] = part.pid
        pids["envoy"] = children(pids["envoy"])[0]
        yield MeshParts(addresses["edge"], addresses["internal"], pids, folder)


def _express_options() -> tuple[str, ...]:
    known = {option for each in serve.params for option in each.opts}
    return ("--express", "on", "--router", free_address()) if known >= {"--express", "--router"} else ()


async def _start(
    stack: AsyncExitStack, role: Role, folder: Path, addresses: dict[str, str], lane: tuple[str, ...]
) -> ChildProcess:
    listens = "edge" if role is Role.ENVOY else role.value
    known = {**addresses, listens: _ANY}
    options = [part for name, address in known.items() for part in (f"--{name}", address)]
    state = ("--state", str(folder / role.value), "--metrics", _ANY)
    command = (sys.executable, "-m", "lmos_grpc.cli", "serve", role.value, "--json", *state, *options, *lane)
    return await stack.enter_async_context(child_process(role.value, *command, folder=folder, cwd=ROOT))


def free_address() -> str:
    """An address that nothing listens on at the moment.

    Its port is below those that the system gives to clients, or one of them could have it before its server starts.
    """
    while True:
        port = random.randrange(*_OWN_PORTS)  # noqa: S311 - no secret
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return f"127.0.0.1:{port}"


def _get(url: str) -> str:
    # Envoy's own admin page, on loopback.
    with urllib.request.urlopen(url, timeout=_ADMIN_SECONDS) as response:  # noqa: S310 - the scheme is ours
        text: str = response.read().decode()
    return text.strip()
