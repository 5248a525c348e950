"""What a whole mesh makes of bad input and bad agents: a clear error, typed for programs, and nothing else breaks."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2, status_pb2
from lmos.agent.v1 import agent_service_pb2, agent_service_pb2_grpc

from lmos_grpc import MeshClient
from lmos_grpc.clients.discovery_client import DiscoveryClient
from lmos_grpc.domain.card import AgentCard, Capability
from lmos_grpc.domain.event import Failure, Outcome, TextDelta, TurnDone
from lmos_grpc.domain.failure import Reason
from lmos_grpc.domain.instance import InstanceState
from lmos_grpc.errors import (
    AgentProtocolViolationError,
    AgentStreamBrokenError,
    AgentUnreachableError,
    CardMismatchError,
    DeadlineExceededError,
    DuplicateInstanceError,
    InvalidCardError,
    NoHealthyInstanceError,
    UnknownAgentError,
)
from lmos_grpc.rpc import open_channel
from tests.fakes.plain_agent import PlainAgent, serving
from tests.fakes.rogue_agent import RogueAgent, serving_rogue
from tests.mesh.acceptance import EndlessAgent, held, invocation, post_turn
from tests.mesh.whole_mesh import LIMIT, billing_agent, whole_mesh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos.agent.v1.agent_service_pb2_grpc import AgentServiceAsyncStub

    from lmos_grpc import LmosError
    from lmos_grpc.cli.mesh.mesh import RunningMesh
    from lmos_grpc.domain.event import AgentEvent
    from lmos_grpc.domain.instance import Lease

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="module")]
SECOND = timedelta(seconds=1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endless() -> EndlessAgent:
    return EndlessAgent()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory, endless: EndlessAgent) -> AsyncIterator[RunningMesh]:
    async with held(whole_mesh(tmp_path_factory.mktemp("bad"), billing_agent(), endless)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client(mesh: RunningMesh) -> AsyncIterator[MeshClient]:
    """A caller who, after what was bad, is answered as ever."""
    async with MeshClient(mesh.edge) as client:
        yield client
        assert await client.ask("why is my bill so high?", timeout=LIMIT) == "Your bill is 42 euros."


def card(name: str, version: str = "1.0.0") -> AgentCard:
    return AgentCard(name, version, capabilities=(Capability("act", "1.0.0"),))


@asynccontextmanager
async def registered(mesh: RunningMesh, name: str, address: str, instance: str = "") -> AsyncIterator[Lease]:
    """A place in the registry for an agent that does not register itself."""
    async with open_channel(mesh.internal) as channel:
        discovery = DiscoveryClient(channel)
        lease = await discovery.register(instance or f"{name}-1", address, card(name))
        try:
            yield lease
        finally:
            await discovery.deregister(lease)


async def events_of(client: MeshClient, text: str, agent: str, timeout: timedelta = LIMIT) -> list[AgentEvent]:
    async with aclosing(client.invoke(text, agent=agent, timeout=timeout)) as events:
        return [event async for event in events]


def failure_in(events: list[AgentEvent]) -> Failure:
    done = events[-1].body
    assert isinstance(done, TurnDone)
    assert done.outcome is Outcome.FAILED
    [failure] = [each.body for each in events if isinstance(each.body, Failure)]
    return failure


def bare_request(text: str, **hint: str) -> agent_service_pb2.InvokeRequest:
    request = agent_service_pb2.InvokeRequest()
    request.message.parts.add(text=text)
    for name, value in hint.items():
        setattr(request.route_hint, name, value)
    return request


REFUSED = {
    "empty": ("", {}, "INVALID_ARGUMENT", "EMPTY_MESSAGE", 400),
    "blank": (" \n ", {}, "INVALID_ARGUMENT", "EMPTY_MESSAGE", 400),
    "five megabytes": ("x" * 5_000_000, {}, "RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE", 429),
    "unknown agent": ("hi", {"agent": "nobody-agent"}, "NOT_FOUND", "UNKNOWN_AGENT", 404),
    "unknown capability": ("hi", {"capability": "juggle"}, "NOT_FOUND", "UNKNOWN_CAPABILITY", 404),
    "version not there": ("hi", {"agent": "billing-agent", "version_range": "^9"}, "NOT_FOUND", "UNKNOWN_AGENT", 404),
    "no version range": (
        "hi",
        {"agent": "billing-agent", "version_range": "latest?"},
        "INVALID_ARGUMENT",
        "INVALID_VERSION",
        400,
    ),
}


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("case", REFUSED)
async def test_a_refused_turn_is_a_status_with_the_reason_for_programs(mesh: RunningMesh, case: str) -> None:
    text, hint, code, reason, _ = REFUSED[case]
    async with grpc.aio.insecure_channel(mesh.edge) as channel:
        stub: AgentServiceAsyncStub = agent_service_pb2_grpc.AgentServiceStub(channel)  # type: ignore[assignment]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            [response async for response in stub.Invoke(bare_request(text, **hint), timeout=5)]
    details = dict(refused.value.trailing_metadata() or ())["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    info = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(details).details[0].Unpack(info)
    assert (refused.value.code().name, info.reason, info.domain) == (code, reason, "lmos-grpc")
    assert refused.value.details()


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("case", REFUSED)
async def test_a_refused_turn_is_readable_in_json(mesh: RunningMesh, case: str) -> None:
    text, hint, _, reason, status = REFUSED[case]
    body = invocation(text)
    body["routeHint"] = hint
    reply = await post_turn(mesh.edge, body)
    assert (reply.status, reply.content_type) == (status, "application/json")
    assert reply.json["message"]
    assert [each["reason"] for each in reply.json["details"] if "reason" in each] == [reason]


TOO_LARGE = [5_300_000, 12_000_000]


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("size", TOO_LARGE)
async def test_a_request_that_no_server_would_take_is_refused_by_name_too(mesh: RunningMesh, size: int) -> None:
    async with grpc.aio.insecure_channel(mesh.edge) as channel:
        stub: AgentServiceAsyncStub = agent_service_pb2_grpc.AgentServiceStub(channel)  # type: ignore[assignment]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            [response async for response in stub.Invoke(bare_request("x" * size), timeout=20)]
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "send large content by reference" in str(refused.value.details())
    details = dict(refused.value.trailing_metadata() or ())["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    info, status = error_details_pb2.ErrorInfo(), status_pb2.Status.FromString(details)
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("MESSAGE_TOO_LARGE", "lmos-grpc")
    assert (status.code, status.message) == (refused.value.code().value[0], refused.value.details())


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("size", TOO_LARGE)
async def test_a_request_that_no_server_would_take_is_refused_in_json_too(mesh: RunningMesh, size: int) -> None:
    reply = await post_turn(mesh.edge, invocation("x" * size))
    assert (reply.status, reply.content_type) == (413, "application/json")
    assert reply.json["code"] == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    assert "send large content by reference" in reply.json["message"]
    assert [each["reason"] for each in reply.json["details"]] == ["MESSAGE_TOO_LARGE"]


@pytest.mark.usefixtures("client")
async def test_a_body_that_is_no_turn_is_refused_with_what_is_wrong(mesh: RunningMesh) -> None:
    for body in ({"massage": "hi"}, {"message": "hi"}):
        reply = await post_turn(mesh.edge, body)
        assert reply.status == 400
        assert b"message" in reply.body


async def test_a_deadline_that_passes_is_told_in_band_and_reaches_the_agent(
    client: MeshClient, endless: EndlessAgent
) -> None:
    failure = failure_in(await events_of(client, "hello", "endless-agent", SECOND / 2))
    assert failure.detail.reason is Reason.DEADLINE_EXCEEDED
    await endless.next_end()


async def test_a_deadline_that_has_passed_already_is_an_error(client: MeshClient) -> None:
    with pytest.raises(DeadlineExceededError):
        await events_of(client, "hello", "endless-agent", timedelta(microseconds=1))


async def test_a_caller_in_json_may_set_a_deadline(mesh: RunningMesh, endless: EndlessAgent) -> None:
    reply = await post_turn(mesh.edge, invocation("hello", agent="endless-agent"), "grpc-timeout: 500m")
    assert reply.status == 200
    assert b'"reason":"ERROR_REASON_DEADLINE_EXCEEDED"' in reply.body
    assert b'"outcome":"OUTCOME_FAILED"' in reply.body
    await endless.next_end()


async def test_a_caller_that_disconnects_stops_the_agent(
    mesh: RunningMesh, client: MeshClient, endless: EndlessAgent
) -> None:
    del client
    async with MeshClient(mesh.edge) as gone:
        events = gone.invoke("hello", agent="endless-agent", conversation_id="gone")
        while not isinstance((await anext(events)).body, TextDelta):
            pass
        # The channel closes under the call: the caller's process is gone, and nobody cancelled.
    await endless.next_end()
    await events.aclose()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("garbage", AgentProtocolViolationError),
        ("no accepted", AgentProtocolViolationError),
        ("a gap", AgentProtocolViolationError),
        ("late garbage", AgentProtocolViolationError),
        ("fail", AgentStreamBrokenError),
    ],
)
async def test_an_agent_that_breaks_the_contract_is_named_and_the_mesh_goes_on(
    mesh: RunningMesh, client: MeshClient, text: str, error: type[LmosError]
) -> None:
    async with serving_rogue(RogueAgent()) as address, registered(mesh, "rogue-agent", address):
        failure = failure_in(await events_of(client, text, "rogue-agent"))
    assert failure.detail.reason is error.reason
    assert failure.detail.metadata["agent"] == "rogue-agent"
    assert "rogue-agent" in failure.detail.message


async def test_what_an_agent_sends_after_the_end_reaches_nobody(mesh: RunningMesh, client: MeshClient) -> None:
    async with serving_rogue(RogueAgent()) as address, registered(mesh, "rogue-agent", address):
        events = await events_of(client, "after the end", "rogue-agent")
    done = events[-1].body
    assert isinstance(done, TurnDone)
    assert done.outcome is Outcome.COMPLETED
    assert not any(isinstance(each.body, TextDelta) for each in events)


async def test_an_agent_that_never_answers_is_given_up_at_the_deadline(mesh: RunningMesh, client: MeshClient) -> None:
    rogue = RogueAgent()
    async with serving_rogue(rogue) as address, registered(mesh, "rogue-agent", address):
        failure = failure_in(await events_of(client, "silence", "rogue-agent", SECOND))
        async with asyncio.timeout(1):
            await rogue.given_up.wait()
    assert failure.detail.reason is Reason.DEADLINE_EXCEEDED


async def test_an_agent_whose_only_instance_drains_has_no_healthy_one(mesh: RunningMesh, client: MeshClient) -> None:
    async with AsyncExitStack() as stack:
        agent = await stack.enter_async_context(serving(PlainAgent("tired-agent")))
        lease = await stack.enter_async_context(registered(mesh, "tired-agent", agent.address))
        channel = await stack.enter_async_context(open_channel(mesh.internal))
        await DiscoveryClient(channel).update_state(lease, InstanceState.DRAINING)
        with pytest.raises(NoHealthyInstanceError, match="tired-agent") as told:
            await client.ask("hello", agent="tired-agent")
    assert told.value.retry_after == SECOND


async def test_an_agent_that_is_gone_before_its_lease_is_a_failure_to_be_tried_again(
    mesh: RunningMesh, client: MeshClient
) -> None:
    async with AsyncExitStack() as stack:
        async with serving(PlainAgent("hasty-agent")) as agent:
            await stack.enter_async_context(registered(mesh, "hasty-agent", agent.address))
        failure = failure_in(await events_of(client, "hello", "hasty-agent"))
    assert failure.detail.reason in {Reason.NO_HEALTHY_INSTANCE, Reason.UNREACHABLE}
    assert failure.detail.code.name == "UNAVAILABLE"


async def test_a_bad_registration_is_refused_by_reason(mesh: RunningMesh, client: MeshClient) -> None:
    del client
    async with serving(PlainAgent("honest-agent")) as agent, open_channel(mesh.internal) as channel:
        discovery = DiscoveryClient(channel)
        with pytest.raises(InvalidCardError, match="not a semantic version"):
            await discovery.register("x", agent.address, card("honest-agent", "one.two"))
        with pytest.raises(CardMismatchError, match="honest-agent"):
            await discovery.register("x", agent.address, card("other-agent"))
        with pytest.raises(AgentUnreachableError, match="GetAgentCard"):
            await discovery.register("x", "127.0.0.1:9", card("honest-agent"))
        async with (
            registered(mesh, "honest-agent", agent.address, instance="x"),
            serving(PlainAgent("honest-agent")) as other,
        ):
            with pytest.raises(DuplicateInstanceError, match="x"):
                await discovery.register("x", other.address, card("honest-agent"))
        assert "other-agent" not in {each.card.name for each in await discovery.list_agents()}


async def test_headers_that_are_the_meshs_own_have_no_effect_from_outside(mesh: RunningMesh) -> None:
    forged = (
        "x-lmos-route: endless-agent/1.0.0/stable",
        "x-lmos-visited: billing-agent",
        "x-lmos-conversation: forged",
        "x-envoy-upstream-rq-timeout-ms: 1",
    )
    reply = await post_turn(mesh.edge, invocation("why is my bill so high?"), *forged)
    assert reply.status == 200
    assert b"42 euros" in reply.body
    assert b"endless-agent/" not in reply.body


async def test_a_mesh_without_agents_says_that_nobody_can_help(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with whole_mesh(tmp_path_factory.mktemp("none")) as mesh, MeshClient(mesh.edge) as client:
        done: Any = [event async for event in client.invoke("why is my bill so high?", timeout=LIMIT)][-1].body
        assert done.outcome is Outcome.ABSTAINED
        with pytest.raises(UnknownAgentError, match="billing-agent"):
            await client.ask("hello", agent="billing-agent")
