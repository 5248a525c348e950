"""What has to hold of a whole mesh when callers leave and agents die."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import time
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lmos_grpc import Agent, MeshClient, TextDelta
from lmos_grpc.cli.mesh.mesh import run_mesh
from lmos_grpc.cli.mesh.mesh_settings import MeshSettings
from lmos_grpc.cli.mesh.readiness import wait_for_agents
from lmos_grpc.errors import LmosError
from tests.mesh.lmos_process import AGENT
from tests.mesh.whole_mesh import LIMIT, whole_mesh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lmos_grpc import Turn

pytestmark = pytest.mark.mesh
_CANCELS = 200
_CANCEL_LIMIT = timedelta(milliseconds=100)
_SETTLED = timedelta(seconds=1)


async def test_cancelling_at_the_caller_reaches_the_agents_coroutine_within_100_ms(tmp_path: Path) -> None:
    stopped = asyncio.Queue[float]()
    agent = Agent("endless-agent", version="1.0.0")

    @agent.capability("count", version="1.0.0", examples={"en": ["count for ever"]})
    async def count(_turn: Turn) -> AsyncIterator[str]:
        try:
            yield "1 "
            await asyncio.Event().wait()
        finally:
            stopped.put_nowait(time.monotonic())

    delays: list[float] = []
    async with whole_mesh(tmp_path, agent) as mesh, MeshClient(mesh.edge) as client:
        for _ in range(_CANCELS):
            async with aclosing(client.invoke("count for ever", agent="endless-agent")) as events:
                async for event in events:
                    if isinstance(event.body, TextDelta):
                        break
                left = time.monotonic()
            async with asyncio.timeout(LIMIT.total_seconds()):
                delays.append(await stopped.get() - left)
    # Half of them: the machine has other work, too.
    assert statistics.median(delays) <= _CANCEL_LIMIT.total_seconds()


async def test_when_one_of_two_instances_is_killed_under_load_no_turn_fails_a_second_later(tmp_path: Path) -> None:
    agent = tmp_path / "desk.py"
    agent.write_text(AGENT, "utf-8")
    settings = MeshSettings(state=tmp_path / "state", agents=(str(agent), str(agent)))
    failures: list[float] = []
    turns = 0

    async with run_mesh(settings) as mesh, MeshClient(mesh.edge) as client:
        await wait_for_agents(mesh, LIMIT)

        async def ask_until(stop: asyncio.Event) -> None:
            nonlocal turns
            while not stop.is_set():
                began = time.monotonic()
                try:
                    await client.ask("hello there", agent="desk-agent")
                except LmosError:
                    failures.append(began)
                turns += 1

        stop = asyncio.Event()
        async with asyncio.TaskGroup() as load:
            for _ in range(16):
                load.create_task(ask_until(stop))
            await _pass_time(timedelta(seconds=1))
            os.kill(mesh.agents[0].process.pid, signal.SIGKILL)
            killed = time.monotonic()
            await _pass_time(timedelta(seconds=3))
            stop.set()
    assert turns > 100
    assert [began - killed for began in failures if began - killed > _SETTLED.total_seconds()] == []


async def _pass_time(span: timedelta) -> None:
    # Not a wait for something: load goes on meanwhile.
    await asyncio.sleep(span.total_seconds())
