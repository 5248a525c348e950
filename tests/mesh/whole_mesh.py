"""A whole mesh with a real Envoy, composed as `lmos up` does it, with agents that the test writes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console

from lmos_grpc import Agent, AgentSettings, serve_agent
from lmos_grpc.cli.mesh.edge_options import EdgeOptions
from lmos_grpc.cli.mesh.mesh import run_mesh
from lmos_grpc.cli.mesh.mesh_settings import MeshSettings
from lmos_grpc.cli.mesh.turn_settings import TurnSettings
from lmos_grpc.cli.output import Output
from lmos_grpc.cli.settings import MeshSection, Settings
from lmos_grpc.routing import ExpressLane, RoutingSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from io import StringIO
    from pathlib import Path

    from lmos_grpc import Clarification, Turn
    from lmos_grpc.cli.mesh.mesh import RunningMesh

LIMIT = timedelta(seconds=10)
_TURNS = TurnSettings()
# On a busy machine a router that is well may take longer than the mesh waits by default, and then no turn is express.
_PATIENT = EdgeOptions(router_limit=timedelta(seconds=5))


@asynccontextmanager
async def whole_mesh(
    state: Path,
    *agents: Agent,
    express: ExpressLane = ExpressLane.OFF,
    rules: tuple[Path, ...] = (),
    turns: TurnSettings = _TURNS,
) -> AsyncIterator[RunningMesh]:
    """A mesh on free ports, with these agents served in this process and registered."""
    settings = MeshSettings(
        state=state, routing=RoutingSettings(express=express), rules=rules, turns=turns, edge_options=_PATIENT
    )
    async with run_mesh(settings) as mesh, AsyncExitStack() as stack:
        for each in agents:
            served = await stack.enter_async_context(serve_agent(each, agent_settings(mesh)))
            async with asyncio.timeout(LIMIT.total_seconds()):
                await served.wait_registered()
        yield mesh


def agent_settings(mesh: RunningMesh) -> AgentSettings:
    """How an agent belongs to this mesh."""
    short = timedelta(milliseconds=10)
    return AgentSettings(mesh=mesh.internal, otlp_endpoint=mesh.otlp, drain_grace=short)


def settings_for(mesh: RunningMesh) -> Settings:
    """The settings of a command that asks this mesh."""
    return Settings(mesh=MeshSection(edge=mesh.edge, internal=mesh.internal, state=mesh.state))


def output_to(file: StringIO, *, json: bool = False) -> Output:
    """An output that writes all to one file."""
    console = Console(file=file, width=200, highlight=False, markup=False)
    return Output(console, console, json=json)


async def until(holds: Callable[[], bool | Awaitable[bool]], limit: timedelta = LIMIT) -> None:
    """Waits for a condition that nobody announces."""
    async with asyncio.timeout(limit.total_seconds()):
        while True:
            held = holds()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(0.02)


def billing_agent() -> Agent:
    """Explains bills, in two pieces."""
    agent = Agent("billing-agent", version="1.2.0", description="Explains bills.")

    @agent.capability(
        "explain-bill", version="1.0.0", name="Explain a bill", examples={"en": ["why is my bill so high"]}
    )
    async def explain_bill(_turn: Turn) -> AsyncIterator[str]:
        yield "Your bill is "
        yield "42 euros."

    return agent


def orders_agent() -> Agent:
    """Tracks orders, after asking which."""
    agent = Agent("orders-agent", version="2.0.0", description="Tracks orders.")

    @agent.capability("track-order", version="1.0.0", name="Track an order", examples={"en": ["where is my parcel"]})
    async def track_order(turn: Turn) -> AsyncIterator[str | Clarification]:
        answer = turn.answered("which")
        if answer is None:
            yield turn.ask("Which one?", options={"router": "The router", "phone": "The phone"}, id="which")
        else:
            yield f"The {answer.option_id} comes tomorrow."

    return agent
