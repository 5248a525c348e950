"""What goes on while parts of the mesh die, hang and come back."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2

from lmos_grpc.control_plane import AdsService
from lmos_grpc.rpc import open_channel
from tests.fakes.plain_agent import PlainAgent, serving
from tests.fakes.registry import FakeRegistry, instance
from tests.mesh.conftest import (
    answer,
    failure,
    only,
    plain_agents,
    running_mesh,
    server_of,
    turn,
    until,
    until_answering,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.mesh.conftest import Mesh


@dataclass
class Process:
    """A plain agent in a process of its own."""

    address: str
    pid: int

    def send(self, what: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, what)


@asynccontextmanager
async def process_of(label: str) -> AsyncIterator[Process]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fakes.plain_agent", label, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout
    try:
        async with asyncio.timeout(20):
            address = (await child.stdout.readline()).decode().strip()
        yield Process(address, child.pid)
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def passed(moment: float) -> bool:
    return time.monotonic() >= moment


async def load(mesh: Mesh, failures: list[float], turns: list[int], stop: asyncio.Event) -> None:
    """Turns without a pause, each in a conversation of its own; counts those that end, notes when one failed."""
    number = 0
    while not stop.is_set():
        number += 1
        started = time.monotonic()
        try:
            await answer(mesh.text("hello", conversation=f"c{number}"))
            turns.append(1)
        except grpc.aio.AioRpcError:
            failures.append(started)


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
async def test_one_of_two_instances_dies_or_hangs_and_soon_no_new_turn_fails(mesh: Mesh, fault: signal.Signals) -> None:
    # A hung process still accepts connections: only health checks that time out tell it from a slow one.
    # A second and five on a quiet machine.
    limit = 3.0 if fault is signal.SIGKILL else 8.0
    async with process_of("b1") as doomed, process_of("b2") as other:
        mesh.registry.put(instance("billing", doomed.address), instance("billing", other.address))
        await until_answering(mesh, "b1")
        failures: list[float] = []
        turns: list[int] = []
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(load(mesh, failures, turns, stop))
            doomed.send(fault)
            died = time.monotonic()
            await until(lambda: only(mesh, "b2"), seconds=limit + 2)
            out_of_rotation = time.monotonic() - died
            # Turns that a hung instance holds end with their deadline only; new ones go on.
            for _ in range(4):
                group.create_task(load(mesh, failures, turns, stop))
            turns_before = sum(turns)
            await until(lambda: passed(died + limit + 1.0), seconds=limit + 2)
            turns_after = sum(turns) - turns_before
            doomed.send(signal.SIGKILL)
            stop.set()
        assert out_of_rotation <= limit
        assert turns_after > 100  # the load went on beyond the limit
        assert [at - died for at in failures if at - died > limit] == []


async def test_an_instance_that_says_it_does_not_serve_leaves_rotation_and_ends_its_turn(mesh: Mesh) -> None:
    async with plain_agents(mesh.registry, "billing", "b1", "b2") as (one, other):
        running = aiter(mesh.text("wait"))
        await anext(running)
        holder, rest = (one, other) if one.calls else (other, one)
        await holder.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        await until(lambda: only(mesh, rest.label))
        holder.go_on.set()
        assert await answer(running) == holder.label


async def test_calls_go_on_while_the_control_plane_is_away_and_nothing_flaps_when_it_returns(
    mesh: Mesh, registry: FakeRegistry
) -> None:
    async with plain_agents(registry, "billing", "b1"):
        assert await answer(mesh.text("hello")) == "b1"
        await mesh.stop_control_plane()
        assert await answer(mesh.text("hello")) == "b1"

        # The new one knows nothing yet: it must not take away what Envoy has.
        fresh = FakeRegistry(synced=False)
        async with server_of(AdsService(fresh.view).add_to_server, address=mesh.ads_address):
            await connected_to(fresh)
            for _ in range(20):
                assert await answer(mesh.text("hello")) == "b1"
            fresh.sync(*registry.view.agents[next(iter(registry.view.agents))].instances)
            async with plain_agents(fresh, "contracts", "c1"):
                assert await answer(mesh.text("hello", agent="contracts")) == "c1"
            assert await answer(mesh.text("hello")) == "b1"


async def test_while_the_registry_is_unknown_a_new_agent_is_told_to_be_awaited(tmp_path: Path) -> None:
    async with running_mesh(tmp_path, FakeRegistry(synced=False)) as mesh:
        code, reason, message = await failure(mesh.text("hello"))
    assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "MESH_STARTING")
    assert "billing/1.0.0/stable" in message


async def test_an_instance_that_is_gone_before_its_lease_is_told_by_reason(mesh: Mesh) -> None:
    async with AsyncExitStack() as stack:
        agent = await stack.enter_async_context(serving(PlainAgent("b1")))
        mesh.registry.put(instance("billing", agent.address))
        assert await answer(mesh.text("hello")) == "b1"
    code, reason, message = await failure(mesh.text("hello"))
    assert (code, reason in {"UNREACHABLE", "NO_HEALTHY_INSTANCE"}) == (grpc.StatusCode.UNAVAILABLE, True)
    assert "billing/1.0.0/stable" in message


async def test_an_instance_that_returns_at_its_address_is_used_again_within_a_second(mesh: Mesh) -> None:
    async with AsyncExitStack() as stack:
        agent = await stack.enter_async_context(serving(PlainAgent("b1")))
        mesh.registry.put(instance("billing", agent.address))
        assert await answer(mesh.text("hello")) == "b1"
    await failure(mesh.text("hello"))
    async with serving(PlainAgent("b2"), agent.address):
        await until_answering(mesh, "b2")


@pytest.mark.parametrize("early", [True, False])
async def test_callers_who_cancel_more_than_envoy_bears_do_not_take_other_turns_along(mesh: Mesh, early: bool) -> None:  # noqa: FBT001
    async with open_channel(f"127.0.0.1:{mesh.envoy.edge_port}") as channel:
        stays = turn(channel, "wait")
        await anext(aiter(stays))
        for _ in range(12):
            leave = [turn(channel, "wait") for _ in range(100)]
            for each in leave:
                await (each.wait_for_connection() if early else anext(aiter(each)))
            for each in leave:
                each.cancel()
        mesh.orchestrator.go_on.set()
        assert [each.event.WhichOneof("event") async for each in stays][-1] == "turn_done"


async def connected_to(registry: FakeRegistry) -> None:
    """Returns once an Envoy has a stream to the control plane over this registry."""

    async def listening() -> bool:
        return bool(registry.view._listeners)

    await until(listening)
