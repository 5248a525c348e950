"""Each part of a mesh in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from lmos_grpc import Lane, MeshClient, serve_agent
from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.domain.event import Routed
from lmos_grpc.errors import LmosError
from lmos_grpc.sdk import AgentSettings
from tests.mesh.lmos_process import lmos
from tests.mesh.whole_mesh import billing_agent, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.mesh.lmos_process import LmosProcess

pytestmark = pytest.mark.mesh
ANY = "127.0.0.1:0"


class Parts:
    """The parts of one mesh, each started with the addresses of those before it."""

    def __init__(self, stack: ExitStack, folder: Path, *flags: str) -> None:
        self._stack = stack
        self._flags = flags
        self._folder = folder
        self.addresses: dict[str, str] = {}
        self.processes: dict[str, LmosProcess] = {}

    def start(self, role: str, **listen: str) -> None:
        known = {**self.addresses, **listen}
        options = [part for name, address in known.items() for part in (f"--{name}", address)]
        state = ("--state", str(self._folder / role), "--metrics", ANY)
        process = self._stack.enter_context(lmos("serve", role, "--json", *state, *self._flags, *options))
        ready = process.wait_for(lambda line: line["event"] == "ready")
        self.processes[role] = process
        self.addresses |= {name: ready[name] for name in listen}

    def start_all(self) -> None:
        self.start("traces", traces=ANY)
        self.start("discovery", discovery=ANY)
        self.start("control-plane", **{"control-plane": ANY})
        # The orchestrator and Envoy name each other, so one of them has to know its port beforehand.
        self.addresses["internal"] = _free_address()
        self.start("orchestrator", orchestrator=ANY, **({"router": ANY} if self._flags else {}))
        self.start("envoy", edge=ANY)


def _free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


async def test_parts_in_processes_of_their_own_are_a_mesh_that_survives_the_loss_of_discovery(tmp_path: Path) -> None:
    with ExitStack() as stack:
        parts = Parts(stack, tmp_path)
        parts.start_all()
        settings = AgentSettings(mesh=parts.addresses["internal"])
        async with serve_agent(billing_agent(), settings) as served, MeshClient(parts.addresses["edge"]) as client:
            await served.wait_registered()

            async def answers() -> bool:
                try:
                    return await client.ask("why is my bill so high?") == "Your bill is 42 euros."
                except LmosError:
                    return False

            await until(answers)
            discovery = parts.processes["discovery"]
            os.kill(discovery.pid, signal.SIGKILL)
            discovery.process.wait()
            # Nobody asks discovery per turn.
            assert all([await answers() for _ in range(20)])
            parts.start("discovery")
            assert all([await answers() for _ in range(20)])
            async with MeshClient(parts.addresses["edge"]) as other:
                assert [each.card.name for each in await other.agents()] == ["billing-agent"]
        assert [each.interrupt() for each in parts.processes.values()] == [ExitCode.OK] * 5


async def test_parts_in_processes_of_their_own_have_the_express_lane_where_it_is_opened(tmp_path: Path) -> None:
    with ExitStack() as stack:
        parts = Parts(stack, tmp_path, "--express")
        parts.start_all()
        settings = AgentSettings(mesh=parts.addresses["internal"])
        async with serve_agent(billing_agent(), settings) as served, MeshClient(parts.addresses["edge"]) as client:
            await served.wait_registered()
            numbers = iter(range(1_000))

            async def goes_straight() -> bool:
                turn = client.invoke("why is my bill so high?", conversation_id=f"c{next(numbers)}")
                try:
                    return not any([isinstance(event.body, Routed) async for event in turn])
                except LmosError:
                    return False

            await until(goes_straight)
            told = await client.explain("why is my bill so high?")
            assert told.lane is Lane.EXPRESS
