"""Each part of a mesh in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import pytest

from lmos_grpc import Lane, MeshClient, serve_agent
from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.cli.mesh.mesh import run_mesh
from lmos_grpc.cli.mesh.mesh_settings import MeshSettings
from lmos_grpc.domain.decision import DecisionMode
from lmos_grpc.domain.event import Routed
from lmos_grpc.errors import LmosError
from lmos_grpc.routing import ExpressLane, RoutingSettings
from lmos_grpc.sdk import AgentSettings
from tests.mesh.acceptance import StepAgent
from tests.mesh.lmos_process import children, lmos
from tests.mesh.whole_mesh import agent_settings, billing_agent, until

if TYPE_CHECKING:
    from lmos_grpc.sdk.mesh_client import Wishes
    from tests.mesh.lmos_process import LmosProcess

pytestmark = pytest.mark.mesh
ANY = "127.0.0.1:0"
BILL = "why is my bill so high?"


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
        self.start("orchestrator", orchestrator=ANY, **({"router": ANY} if self._flags == ("--express",) else {}))
        if "--routers-apart" in self._flags:
            routers = [self._router(number) for number in (1, 2)]
            self.addresses["router"] = ",".join(routers)
        self.start("envoy", edge=ANY)

    def _router(self, number: int) -> str:
        self.start("router", router=ANY)
        self.processes[f"router {number}"] = self.processes.pop("router")
        return self.addresses.pop("router")


def is_router(pid: int) -> bool:
    return b"router" in Path(f"/proc/{pid}/cmdline").read_bytes()


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


async def test_a_mesh_of_one_command_has_as_many_routers_as_it_is_told(tmp_path: Path) -> None:
    settings = MeshSettings(state=tmp_path, routers=2, routing=RoutingSettings(express=ExpressLane.ON))
    async with run_mesh(settings) as mesh, serve_agent(billing_agent(), agent_settings(mesh)) as served:
        await served.wait_registered()
        async with MeshClient(mesh.edge) as client:

            async def goes_straight() -> bool:
                return not any([isinstance(event.body, Routed) async for event in client.invoke(BILL)])

            await until(goes_straight)
        assert len([each for each in children(os.getpid()) if is_router(each)]) == 2


async def test_routers_of_their_own_share_the_turns_and_are_not_missed_when_they_die(tmp_path: Path) -> None:
    with ExitStack() as stack:
        parts = Parts(stack, tmp_path, "--express", "--routers-apart")
        parts.start_all()
        settings = AgentSettings(mesh=parts.addresses["internal"])
        steps = StepAgent()
        async with (
            serve_agent(billing_agent(), settings) as served,
            serve_agent(steps, settings) as other,
            MeshClient(parts.addresses["edge"]) as client,
        ):
            await served.wait_registered()
            await other.wait_registered()
            numbers = iter(range(1_000))

            async def lane_of(text: str = BILL, **said: Unpack[Wishes]) -> Lane | None:
                wishes: Wishes = {"conversation_id": f"c{next(numbers)}", **said}
                turn = client.invoke(text, **wishes)
                try:
                    kinds = [type(event.body) async for event in turn]
                except LmosError:
                    return None
                return Lane.MANAGED if Routed in kinds else Lane.EXPRESS

            async def goes_straight() -> bool:
                return await lane_of() is Lane.EXPRESS

            async def goes_through_the_orchestrator() -> bool:
                return await lane_of() is Lane.MANAGED

            async def both_let_go() -> bool:
                return all([await goes_straight() for _ in range(20)])

            # Each of them hears of the agents by itself.
            await until(both_let_go)
            # What one of them decided the other one knows by the log, which neither of them has.
            wishes: Wishes = {"conversation_id": "sticky", "lane": Lane.EXPRESS}
            assert await lane_of(**wishes) is Lane.EXPRESS

            async def recorded() -> bool:
                return (await client.explain("yes, please", **wishes)).mode is DecisionMode.CONVERSATION

            await until(recorded)

            async def both_know() -> bool:
                return all([await lane_of("yes, please", **wishes) is Lane.EXPRESS for _ in range(6)])

            await until(both_know)
            running = aiter(client.invoke("2", conversation_id="runs", agent="step-agent"))
            await anext(running)
            for name in ("router 1", "router 2"):
                router = parts.processes.pop(name)
                os.kill(router.pid, signal.SIGKILL)
                router.process.wait()
                # Once it was found to be gone, the other one has all turns; without any, the orchestrator.
                await until(goes_straight if name == "router 1" else goes_through_the_orchestrator)
            steps.steps.release()
            steps.steps.release()
            assert [type(event.body).__name__ async for event in running][-1] == "TurnDone"
