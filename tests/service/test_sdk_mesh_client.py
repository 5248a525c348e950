"""A caller's side, over real sockets."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from lmos_grpc import (
    Agent,
    AgentSettings,
    MeshClient,
    Outcome,
    Strategy,
    StrategyKind,
    TextDelta,
    TurnDone,
    serve_agent,
)
from lmos_grpc.domain.event import Clarification, Source
from lmos_grpc.errors import AgentStreamBrokenError, DeadlineExceededError, EmptyMessageError, UnreachableError
from tests.fakes.plain_agent import PlainAgent, serving
from tests.fakes.recorded_discovery import RecordedDiscovery
from tests.fakes.scripted_agent import ScriptedAgent, serve_scripted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import grpc.aio
    from lmos.agent.v1 import agent_service_pb2

    from lmos_grpc.agent_service import Emit
    from lmos_grpc.domain.turn import TurnRequest

LIMIT = timedelta(seconds=10)


async def test_wishes_reach_the_mesh() -> None:
    mesh = ScriptedAgent()
    async with serve_scripted(mesh) as address, MeshClient(address, tenant="acme", channel="ivr") as client:
        await client.ask(
            "hi",
            agent="billing-agent",
            capability="explain-bill",
            version_range="^1.0.0",
            strategy=Strategy(StrategyKind.FIRST),
            timeout=LIMIT,
        )
        await client.ask("hi", timeout=LIMIT)
    first, second = mesh.asked
    assert (first.hint.agent, first.hint.capability) == ("billing-agent", "explain-bill")
    assert (first.hint.version_range, first.hint.strategy.kind) == ("^1.0.0", StrategyKind.FIRST)
    assert (first.context.tenant, first.context.channel, first.context.subset) == ("acme", "ivr", "")
    assert first.turn_id
    assert first.turn_id != second.turn_id


async def test_the_answer_of_a_fan_out_is_told_source_by_source() -> None:
    one, two = Source("billing", "1.0.0", "x", 1), Source("orders", "1.0.0", "y", 2)

    async def answer_both(_: TurnRequest, emit: Emit) -> None:
        await emit(TextDelta("the bill "), one)
        await emit(TextDelta("the order "), two)
        await emit(TextDelta("is high"), one)
        await emit(TextDelta("is late"), two)
        await emit(Clarification("q", "anything else?"), two)
        await emit(TurnDone(Outcome.INPUT_REQUIRED))

    async with serve_scripted(ScriptedAgent(answer_both)) as address, MeshClient(address) as client:
        assert await client.ask("hi", timeout=LIMIT) == "the bill is high\n\nthe order is late\n\nanything else?"


async def test_a_refused_turn_raises_its_error() -> None:
    async with serve_scripted(ScriptedAgent()) as address, MeshClient(address) as client:
        with pytest.raises(EmptyMessageError):
            await client.ask("  ", timeout=LIMIT)


async def test_a_stream_that_breaks_is_told_apart_from_a_refusal() -> None:
    async with serving(PlainAgent("mesh")) as mesh, MeshClient(mesh.address) as client:
        with pytest.raises(AgentStreamBrokenError, match="after event 1"):
            await client.ask("fail late", timeout=LIMIT)
        with pytest.raises(UnreachableError):
            await client.ask("fail early", timeout=LIMIT)


class LingeringAgent(PlainAgent):
    """Ends its calls a moment after the last event, and tells how they ended."""

    def __init__(self) -> None:
        super().__init__("mesh")
        self.cancelled: asyncio.Queue[bool] = asyncio.Queue()

    async def Invoke(  # noqa: N802 - the name in the contract
        self, request: agent_service_pb2.InvokeRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[agent_service_pb2.InvokeResponse]:
        cancelled = True
        try:
            async for response in super().Invoke(request, context):
                yield response
            await asyncio.sleep(0.01)  # no wait for anything: it is slow to end
            cancelled = False
        finally:
            self.cancelled.put_nowait(cancelled)


async def test_a_turn_that_is_done_is_not_cancelled_whoever_stops_reading() -> None:
    agent = LingeringAgent()
    async with serving(agent) as mesh, MeshClient(mesh.address) as client:
        await client.ask("hi", timeout=LIMIT)
        async with aclosing(client.invoke("hi", timeout=LIMIT)) as events:
            async for event in events:
                if isinstance(event.body, TurnDone):
                    break
        async with aclosing(client.invoke("hi", timeout=LIMIT)) as events:
            await anext(events)
        async with asyncio.timeout(LIMIT.total_seconds()):
            assert [await agent.cancelled.get() for _ in range(3)] == [False, False, True]


async def test_a_deadline_that_passes_raises() -> None:
    async with serving(PlainAgent("mesh")) as mesh, MeshClient(mesh.address) as client:
        with pytest.raises(DeadlineExceededError):
            await client.ask("wait", timeout=timedelta(milliseconds=100))


async def test_the_agents_of_a_mesh_can_be_listed() -> None:
    agent = Agent("billing-agent", version="1.0.0")

    @agent.capability("explain-bill", version="1.0.0")
    async def explain(_: object) -> None:
        """Says nothing."""

    discovery = RecordedDiscovery()
    async with (
        discovery.serving(),
        serve_agent(agent, AgentSettings(mesh=discovery.address)) as served,
        MeshClient(discovery.address) as client,
    ):
        await served.wait_registered()
        [listed] = await client.agents()
    assert listed.card == agent.card


async def test_a_client_that_was_not_entered_says_how() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await MeshClient().agents()
