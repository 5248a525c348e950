"""Where calls go, and what a caller is told when they cannot go there."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import grpc.aio
from lmos.agent.v1 import agent_service_pb2, agent_service_pb2_grpc, live_session_pb2
from lmos.discovery.v1 import discovery_service_pb2, discovery_service_pb2_grpc

from lmos_grpc.control_plane import AdsService
from lmos_grpc.control_plane.cluster import Endpoint, cluster_resource
from tests.fakes.plain_agent import PlainAgent, serving
from tests.fakes.registry import DRAINING, instance
from tests.mesh.conftest import (
    answer,
    bare,
    failure,
    only,
    plain_agents,
    running_mesh,
    turn,
    until,
    until_answering,
    until_failing,
)

if TYPE_CHECKING:
    from pathlib import Path

    from lmos.agent.v1.agent_service_pb2_grpc import AgentServiceAsyncStub

    from lmos_grpc.control_plane.envoy_messages import Resource
    from tests.fakes.registry import FakeRegistry
    from tests.mesh.conftest import Mesh

# Below the time that Envoy waits for the control plane, and far above what a busy machine adds.
AT_ONCE = 1.9


async def test_a_registered_agent_answers_under_its_route(mesh: Mesh) -> None:
    async with plain_agents(mesh.registry, "billing", "b1"), plain_agents(mesh.registry, "contracts", "c1"):
        assert await answer(mesh.text("hello")) == "b1"
        assert await answer(mesh.text("hello", agent="contracts")) == "c1"


async def test_an_agent_that_went_away_and_returns_is_found_again(mesh: Mesh) -> None:
    async with plain_agents(mesh.registry, "billing", "b1"):
        assert await answer(mesh.text("hello")) == "b1"
    await until_failing(mesh, "UNKNOWN_AGENT")
    async with plain_agents(mesh.registry, "billing", "b2"):
        await until_answering(mesh, "b2")


async def test_an_unknown_agent_is_told_at_once_by_name_and_reason(mesh: Mesh) -> None:
    started = time.monotonic()
    code, reason, message = await failure(mesh.text("hello", agent="nobody"))
    assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_AGENT")
    assert "nobody/1.0.0/stable" in message
    assert time.monotonic() - started < AT_ONCE


async def test_an_unknown_agent_is_told_at_once_every_time_it_is_called(mesh: Mesh) -> None:
    started = time.monotonic()
    for _ in range(5):
        assert (await failure(mesh.text("hello", agent="nobody")))[1] == "UNKNOWN_AGENT"
    assert time.monotonic() - started < AT_ONCE


async def test_a_route_that_can_be_no_agents_is_told_at_once_every_time(mesh: Mesh) -> None:
    started = time.monotonic()
    for _ in range(3):
        code, reason, message = await failure(turn(mesh.internal, "hello", ("x-lmos-route", "billing")))
        assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
        assert "name/version/subset" in message
    assert time.monotonic() - started < AT_ONCE


async def test_an_agent_without_a_healthy_instance_is_told_by_name_and_reason(mesh: Mesh) -> None:
    async with serving(PlainAgent("b1")) as agent:
        mesh.registry.put(instance("billing", agent.address, state=DRAINING))
        code, reason, message = await failure(mesh.text("hello"))
    assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "NO_HEALTHY_INSTANCE")
    assert "billing/1.0.0/stable" in message


async def test_an_internal_call_without_a_route_goes_to_the_orchestrator(mesh: Mesh) -> None:
    assert await answer(mesh.text("hello", agent="")) == "orchestrator"


async def test_the_edge_leads_to_the_orchestrator(mesh: Mesh) -> None:
    assert await answer(turn(mesh.edge, "hello")) == "orchestrator"


async def test_both_listeners_lead_to_discovery(mesh: Mesh) -> None:
    for channel in (mesh.edge, mesh.internal):
        stub: Any = discovery_service_pb2_grpc.DiscoveryServiceStub(channel)
        listed = await stub.ListAgents(discovery_service_pb2.ListAgentsRequest(), timeout=5)
        assert listed.next_page_token == "more"  # noqa: S105 - no secret


async def test_a_method_that_is_not_ours_is_unimplemented_with_a_readable_message(mesh: Mesh) -> None:
    for channel in (mesh.edge, mesh.internal):
        code, _, message = await failure(bare(channel, "/a.B/C"))
        assert code is grpc.StatusCode.UNIMPLEMENTED
        assert "no such service" in message


async def test_a_part_of_the_mesh_that_is_away_is_told_by_name_and_reason(mesh: Mesh) -> None:
    await mesh.stop_orchestrator()
    for channel in (mesh.edge, mesh.internal):
        code, reason, message = await failure(turn(channel, "hello"))
        assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "UNREACHABLE")
        assert "orchestrator" in message


async def test_a_draining_instance_gets_no_new_turn_and_ends_the_one_it_has(mesh: Mesh) -> None:
    async with plain_agents(mesh.registry, "billing", "b1", "b2") as (one, other):
        running = aiter(mesh.text("wait", conversation="c"))
        await anext(running)
        holder, rest = (one, other) if one.calls else (other, one)
        mesh.registry.put(instance("billing", holder.address, state=DRAINING))
        await until(lambda: only(mesh, rest.label))
        for number in range(30):
            assert await answer(mesh.text("hello", conversation=f"c{number}")) == rest.label
        holder.go_on.set()
        assert await answer(running) == holder.label


async def test_a_running_turn_survives_the_removal_of_its_agent(mesh: Mesh) -> None:
    async with AsyncExitStack() as stack:
        agent = await stack.enter_async_context(serving(PlainAgent("b1")))
        here = instance("billing", agent.address)
        mesh.registry.put(here)
        running = aiter(mesh.text("wait"))
        await anext(running)
        mesh.registry.remove(here)
        await until_failing(mesh, "UNKNOWN_AGENT")
        agent.go_on.set()
        assert await answer(running) == "b1"


async def test_a_running_turn_survives_changes_of_its_agent(mesh: Mesh) -> None:
    async with plain_agents(mesh.registry, "billing", "b1") as (first,):
        running = aiter(mesh.text("wait"))
        await anext(running)
        async with plain_agents(mesh.registry, "billing", "b2"):
            await until_answering(mesh, "b2")
        first.go_on.set()
        assert await answer(running) == "b1"


async def test_the_turns_of_a_conversation_go_to_one_instance_and_conversations_spread(mesh: Mesh) -> None:
    async with plain_agents(mesh.registry, "billing", "b1", "b2", "b3"):
        homes = {}
        for number in range(30):
            answers = {await answer(mesh.text("hello", conversation=f"c{number}")) for _ in range(3)}
            assert len(answers) == 1
            homes[number] = answers.pop()
        assert set(homes.values()) == {"b1", "b2", "b3"}


async def test_an_error_before_the_first_event_is_tried_again_elsewhere(mesh: Mesh) -> None:
    async with plain_agents(mesh.registry, "billing", "b1", "b2") as agents:
        code, _, _ = await failure(mesh.text("fail early", conversation="c"))
        assert code is grpc.StatusCode.UNAVAILABLE
        assert all(agent.calls for agent in agents)


async def test_an_error_after_the_first_event_is_not_tried_again(mesh: Mesh) -> None:
    async with plain_agents(mesh.registry, "billing", "b1", "b2") as agents:
        code, _, message = await failure(mesh.text("fail late"))
        assert (code, message) == (grpc.StatusCode.UNAVAILABLE, "broke down")
        assert sum(len(agent.calls) for agent in agents) == 1


async def test_a_live_session_goes_to_its_agent_and_back_as_it_is_typed(mesh: Mesh) -> None:
    async with plain_agents(mesh.registry, "billing", "b1"):
        session = live_session(mesh)
        for number in range(1, 4):
            await session.write(typed(number, f"line {number}"))
            async with asyncio.timeout(5):
                response = await session.read()
            assert isinstance(response, agent_service_pb2.ConverseResponse)
            assert response.event.text_delta.text == f"line {number}"
        await session.done_writing()
        assert await session.code() is grpc.StatusCode.OK


async def test_a_live_session_is_never_begun_twice(mesh: Mesh) -> None:
    async with plain_agents(mesh.registry, "billing", "b1", "b2") as agents:
        session = live_session(mesh)
        await session.write(typed(1, "fail early"))
        async with asyncio.timeout(5):
            assert await session.code() is grpc.StatusCode.UNAVAILABLE
        assert sum(len(agent.calls) for agent in agents) == 1


def live_session(mesh: Mesh) -> grpc.aio.StreamStreamCall[Any, Any]:
    stub: AgentServiceAsyncStub = agent_service_pb2_grpc.AgentServiceStub(mesh.internal)  # type: ignore[assignment]
    return stub.Converse(metadata=(("x-lmos-route", "billing/1.0.0/stable"),), timeout=20)


def typed(sequence: int, text: str) -> agent_service_pb2.ConverseRequest:
    return agent_service_pb2.ConverseRequest(sequence=sequence, user_text=live_session_pb2.UserText(text=text))


async def test_a_cluster_that_envoy_refuses_is_named_and_harms_no_other(tmp_path: Path, registry: FakeRegistry) -> None:
    def build(name: str, endpoints: tuple[Endpoint, ...]) -> Resource:
        if name.startswith("poison"):
            endpoints = (Endpoint("127.0.0.1", 99_999, draining=False),)
        return cluster_resource(name, endpoints)

    refused: list[tuple[str, str]] = []
    ads = AdsService(registry.view, on_nack=lambda name, message: refused.append((name, message)), build=build)
    async with running_mesh(tmp_path, registry, ads=ads) as mesh:
        registry.put(instance("poison", "127.0.0.1:80"))
        async with plain_agents(registry, "billing", "b1"):
            started = time.monotonic()
            _, reason, _ = await failure(mesh.text("hello", agent="poison"))
            took = time.monotonic() - started
            assert await answer(mesh.text("hello")) == "b1"
    assert [name for name, _ in refused] == ["poison/1.0.0/stable"]
    assert (reason, took < AT_ONCE) == ("UNKNOWN_AGENT", True)
