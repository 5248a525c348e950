"""Thousands of callers leave at once through a real Envoy, and nobody who stays loses a call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest

from lmos_grpc.rpc import open_channel
from tests.mesh.conftest import answer, plain_agents, turn, until

if TYPE_CHECKING:
    from tests.fakes.plain_agent import PlainAgent
    from tests.mesh.conftest import Mesh

pytestmark = pytest.mark.mesh
MANY = 2_000
ROUTE = ("x-lmos-route", "billing/1.0.0/stable")


@pytest.mark.usefixtures("each_transport")
@pytest.mark.parametrize("said", ["say nothing", "wait"])
async def test_calls_that_are_cancelled_at_once_inside_cost_no_other_call(mesh: Mesh, said: str) -> None:
    async with (
        plain_agents(mesh.registry, "billing", "b1") as [agent],
        open_channel(f"127.0.0.1:{mesh.envoy.internal_port}") as channel,
    ):
        await many_leave(channel, agent, said, ROUTE)


@pytest.mark.usefixtures("each_transport")
@pytest.mark.parametrize("said", ["say nothing", "wait"])
async def test_calls_that_are_cancelled_at_once_at_the_edge_cost_no_other_call(mesh: Mesh, said: str) -> None:
    async with open_channel(f"127.0.0.1:{mesh.envoy.edge_port}") as channel:
        await many_leave(channel, mesh.orchestrator, said)


async def many_leave(channel: grpc.aio.Channel, agent: PlainAgent, said: str, *metadata: tuple[str, str]) -> None:
    """One caller waits while many others come, and leave at once."""
    bystander = aiter(turn(channel, "wait", *metadata))
    await anext(bystander)
    leaving: list[grpc.aio.UnaryStreamCall[Any, Any]] = []

    async def all_came() -> bool:
        return len(agent.said) == len(leaving) + 1

    while len(leaving) < MANY:
        # Of more that come at once, gRPC's server turns some down.
        leaving += [turn(channel, said, *metadata) for _ in range(200)]
        await until(all_came, seconds=20)
    for call in leaving:
        call.cancel()
    assert set(await asyncio.gather(*(call.code() for call in leaving))) == {grpc.StatusCode.CANCELLED}
    # On the same connection, behind the resets.
    assert await answer(turn(channel, "hello", *metadata)) == agent.label
    agent.go_on.set()
    rest = [response async for response in bystander]
    assert [each.event.WhichOneof("event") for each in rest] == ["text_delta", "turn_done"]
