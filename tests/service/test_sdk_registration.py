"""An agent's place in the registry, against a real discovery that comes and goes."""

from __future__ import annotations

import asyncio
import itertools
import logging
import sys
import time
from contextlib import AsyncExitStack, aclosing
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lmos_grpc import Agent, AgentSettings, Failure, MeshClient, Outcome, Status, TurnDone, serve_agent
from lmos_grpc.discovery import Registration
from lmos_grpc.domain.failure import Reason
from lmos_grpc.domain.instance import InstanceState
from tests.fakes.recorded_discovery import RecordedDiscovery

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from lmos_grpc import EventBody, Turn

LIMIT = timedelta(seconds=10)
SECOND = timedelta(seconds=1)
AGENT = Agent("billing-agent", version="1.2.0")


@AGENT.capability("explain-bill", version="1.0.0")
async def explain_bill(turn: Turn) -> str:
    return f"your bill: {turn.text}"


def settings_for(discovery: RecordedDiscovery, *, drain: timedelta = LIMIT) -> AgentSettings:
    return AgentSettings(mesh=discovery.address, lease_ttl=SECOND, drain_timeout=drain, drain_grace=timedelta(0))


def counted_ids() -> Callable[[str], str]:
    numbers = itertools.count(1)
    return lambda agent: f"{agent}-{next(numbers)}"


async def answers(address: str) -> bool:
    async with MeshClient(address) as client:
        return await client.ask("12", timeout=LIMIT) == "your bill: 12"


async def test_an_agent_is_registered_with_its_card_where_it_answers() -> None:
    discovery = RecordedDiscovery()
    async with discovery.serving(), serve_agent(AGENT, settings_for(discovery)) as served:
        await asyncio.wait_for(served.wait_registered(), 5)
        instance = discovery.only_instance
    assert instance.card == AGENT.card
    assert instance.address == served.address
    assert instance.state is InstanceState.READY
    assert instance.lease.ttl == SECOND


async def test_a_lease_is_renewed_three_times_in_its_life_and_dropped_at_the_end() -> None:
    discovery = RecordedDiscovery()
    async with discovery.serving():
        async with serve_agent(AGENT, settings_for(discovery)) as served:
            await asyncio.wait_for(served.wait_registered(), 5)
            began = time.monotonic()
            await discovery.until(lambda: discovery.calls.count("Renew") == 3)
            took = time.monotonic() - began
            assert discovery.calls.count("Register") == 1
        assert discovery.changes == ["ready", "draining", "deregistered"]
    assert 0.9 <= took < 1.9


async def test_a_lease_that_is_not_known_any_more_is_registered_anew_as_the_same_instance() -> None:
    discovery = RecordedDiscovery()
    async with discovery.serving(), serve_agent(AGENT, settings_for(discovery)) as served:
        await asyncio.wait_for(served.wait_registered(), 5)
        before = discovery.only_instance
        discovery.registry.deregister(before.instance_id, before.lease.epoch)
        await discovery.until(lambda: discovery.instances)
        after = discovery.only_instance
    assert after.instance_id == before.instance_id
    assert after.lease.epoch > before.lease.epoch


async def test_an_agent_starts_and_serves_while_discovery_is_down_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    discovery = RecordedDiscovery()
    async with serve_agent(AGENT, settings_for(discovery)) as served:
        assert await answers(served.address)
        # Long enough for some attempts: each takes a call and a pause of at most 0.1, 0.2, 0.4 … s.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(served.wait_registered(), 0.5)
        async with discovery.serving():
            await asyncio.wait_for(served.wait_registered(), 5)
            assert discovery.only_instance.address == served.address
    assert [record.levelno for record in caplog.records if "cannot register" in record.message] == [logging.WARNING]


async def test_discovery_that_restarts_with_its_state_finds_the_agent_where_it_was() -> None:
    discovery = RecordedDiscovery()
    async with AsyncExitStack() as stack:
        up = await stack.enter_async_context(AsyncExitStack())
        await up.enter_async_context(discovery.serving())
        served = await stack.enter_async_context(serve_agent(AGENT, settings_for(discovery)))
        await asyncio.wait_for(served.wait_registered(), 5)
        before = discovery.only_instance
        await up.aclose()
        assert await answers(served.address)
        renewals = discovery.calls.count("Renew")
        async with discovery.serving():
            await discovery.until(lambda: discovery.calls.count("Renew") > renewals)
            assert discovery.only_instance.lease == before.lease
            assert discovery.calls.count("Register") == 1


async def test_discovery_that_restarts_without_its_state_gets_the_agent_anew() -> None:
    discovery = RecordedDiscovery()
    async with AsyncExitStack() as stack:
        up = await stack.enter_async_context(AsyncExitStack())
        await up.enter_async_context(discovery.serving())
        served = await stack.enter_async_context(serve_agent(AGENT, settings_for(discovery)))
        await asyncio.wait_for(served.wait_registered(), 5)
        before = discovery.only_instance
        await up.aclose()
        discovery.new_registry()
        async with discovery.serving():
            await discovery.until(lambda: discovery.instances)
            after = discovery.only_instance
    assert after.instance_id == before.instance_id
    assert after.lease.epoch > before.lease.epoch


async def test_a_fenced_process_goes_on_as_another_instance_and_leaves_its_successor_alone() -> None:
    discovery = RecordedDiscovery()
    async with (
        discovery.serving(),
        serve_agent(AGENT, settings_for(discovery), new_id=counted_ids()) as served,
    ):
        await asyncio.wait_for(served.wait_registered(), 5)
        mine = discovery.only_instance
        successor = Registration(mine.instance_id, "127.0.0.1:9", mine.card, LIMIT, mine.lease.epoch + 1)
        lease = discovery.registry.register(successor)
        await discovery.until(lambda: len(discovery.instances) == 2)
        instances = discovery.instances
    assert instances["billing-agent-1"].address == "127.0.0.1:9"
    assert instances["billing-agent-1"].lease == lease
    assert instances["billing-agent-2"].address == served.address
    assert list(discovery.instances) == ["billing-agent-1"]


async def test_an_id_that_is_taken_at_the_start_is_not_fought_for() -> None:
    discovery = RecordedDiscovery()
    discovery.registry.register(Registration("billing-agent-1", "127.0.0.1:9", AGENT.card, LIMIT))
    async with (
        discovery.serving(),
        serve_agent(AGENT, settings_for(discovery), new_id=counted_ids()) as served,
    ):
        await asyncio.wait_for(served.wait_registered(), 5)
        assert discovery.instances["billing-agent-1"].address == "127.0.0.1:9"
        assert discovery.instances["billing-agent-2"].address == served.address


class SlowAgent:
    """An agent whose turn waits for leave to finish."""

    def __init__(self, discovery: RecordedDiscovery) -> None:
        self.leave = asyncio.Event()
        self.agent = Agent("slow-agent", version="1.0.0")
        self.agent.capability("work", version="1.0.0")(self._work)
        self._discovery = discovery

    async def _work(self, turn: Turn) -> AsyncIterator[str | EventBody]:
        yield turn.status("working")
        await self.leave.wait()
        self._discovery.changes.append("turn finished")
        yield "done"


async def begin_turn(client: MeshClient, group: asyncio.TaskGroup) -> asyncio.Task[list[EventBody]]:
    """Begins a turn and returns when the agent works on it."""
    started = asyncio.Event()

    async def read() -> list[EventBody]:
        bodies = []
        async with aclosing(client.invoke("x", timeout=LIMIT)) as events:
            async for event in events:
                bodies.append(event.body)
                if isinstance(event.body, Status):
                    started.set()
        return bodies

    task = group.create_task(read())
    await asyncio.wait_for(started.wait(), 5)
    return task


async def test_an_agent_drains_in_order() -> None:
    discovery = RecordedDiscovery()
    slow = SlowAgent(discovery)
    async with discovery.serving(), asyncio.TaskGroup() as group, AsyncExitStack() as stack:
        served = await stack.enter_async_context(serve_agent(slow.agent, settings_for(discovery)))
        await asyncio.wait_for(served.wait_registered(), 5)
        async with MeshClient(served.address) as client:
            turn = await begin_turn(client, group)
            end = group.create_task(stack.aclose())
            await discovery.until(lambda: "draining" in discovery.changes)
            slow.leave.set()
            bodies = await turn
        await end
    assert discovery.changes == ["ready", "draining", "turn finished", "deregistered"]
    done = bodies[-1]
    assert isinstance(done, TurnDone)
    assert done.outcome is Outcome.COMPLETED


async def test_a_lease_is_renewed_while_running_turns_finish() -> None:
    discovery = RecordedDiscovery()
    slow = SlowAgent(discovery)
    async with discovery.serving(), asyncio.TaskGroup() as group, AsyncExitStack() as stack:
        served = await stack.enter_async_context(serve_agent(slow.agent, settings_for(discovery)))
        await asyncio.wait_for(served.wait_registered(), 5)
        async with MeshClient(served.address) as client:
            turn = await begin_turn(client, group)
            end = group.create_task(stack.aclose())
            await discovery.until(lambda: "draining" in discovery.changes)
            renewals = discovery.calls.count("Renew")
            await discovery.until(lambda: discovery.calls.count("Renew") > renewals + 1)
            assert discovery.only_instance.state is InstanceState.DRAINING
            slow.leave.set()
            await turn
        await end


async def test_a_lease_that_is_lost_while_draining_is_not_taken_anew() -> None:
    discovery = RecordedDiscovery()
    slow = SlowAgent(discovery)
    async with discovery.serving(), asyncio.TaskGroup() as group, AsyncExitStack() as stack:
        served = await stack.enter_async_context(serve_agent(slow.agent, settings_for(discovery)))
        await asyncio.wait_for(served.wait_registered(), 5)
        async with MeshClient(served.address) as client:
            turn = await begin_turn(client, group)
            end = group.create_task(stack.aclose())
            await discovery.until(lambda: "draining" in discovery.changes)
            mine = discovery.only_instance
            discovery.registry.deregister(mine.instance_id, mine.lease.epoch)
            renewals = discovery.calls.count("Renew")
            await discovery.until(lambda: discovery.calls.count("Renew") > renewals)
            slow.leave.set()
            await turn
        await end
        assert discovery.instances == {}
    assert discovery.calls.count("Register") == 1


async def test_a_turn_that_never_ends_holds_up_the_end_only_so_long() -> None:
    discovery = RecordedDiscovery()
    slow = SlowAgent(discovery)
    settings = settings_for(discovery, drain=timedelta(milliseconds=200))
    async with discovery.serving(), asyncio.TaskGroup() as group, AsyncExitStack() as stack:
        served = await stack.enter_async_context(serve_agent(slow.agent, settings))
        await asyncio.wait_for(served.wait_registered(), 5)
        async with MeshClient(served.address) as client:
            turn = await begin_turn(client, group)
            await asyncio.wait_for(stack.aclose(), 2)
            bodies = await turn
    failure = bodies[-2]
    assert isinstance(failure, Failure)
    assert failure.detail.reason is Reason.SHUTTING_DOWN
    assert bodies[-1] == TurnDone(Outcome.FAILED)
    assert discovery.changes == ["ready", "draining", "deregistered"]


PROGRAM = """
import asyncio, sys
from datetime import timedelta
from lmos_grpc import Agent, AgentSettings

agent = Agent("slow-agent", version="1.0.0")

@agent.capability("work", version="1.0.0")
async def work(turn):
    yield turn.status("working")
    await asyncio.to_thread(sys.stdin.readline)
    yield "done"

agent.run(AgentSettings(mesh=sys.argv[1], drain_grace=timedelta(0)))
"""


async def test_sigterm_drains_a_process_and_ends_it_with_0(tmp_path: Path) -> None:
    discovery = RecordedDiscovery()
    program = tmp_path / "my_agent.py"
    program.write_text(PROGRAM)
    async with discovery.serving(), asyncio.TaskGroup() as group:
        process = await asyncio.create_subprocess_exec(
            sys.executable, program, discovery.address, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            await discovery.until(lambda: discovery.instances)
            address = discovery.only_instance.address
            async with MeshClient(address) as client:
                turn = await begin_turn(client, group)
                process.terminate()
                await discovery.until(lambda: "draining" in discovery.changes)
                _, log = await asyncio.wait_for(process.communicate(b"go on\n"), 10)
                bodies = await turn
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert isinstance(bodies[-1], TurnDone)
    assert bodies[-1].outcome is Outcome.COMPLETED
    assert discovery.changes == ["ready", "draining", "deregistered"]
    assert process.returncode == 0, log
    assert b"draining slow-agent" in log
    assert b"Traceback" not in log
