"""A real Envoy between plain agents, with the real control plane over a registry that the test writes by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from lmos.agent.v1 import agent_service_pb2, agent_service_pb2_grpc, message_pb2
from lmos.discovery.v1 import discovery_service_pb2, discovery_service_pb2_grpc

from lmos_grpc.control_plane import AdsService
from lmos_grpc.control_plane.bootstrap import EnvoySettings
from lmos_grpc.control_plane.envoy_process import run_envoy
from tests.fakes.plain_agent import PlainAgent, serving
from tests.fakes.registry import FakeRegistry, instance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from lmos.agent.v1.agent_service_pb2_grpc import AgentServiceAsyncStub

    from lmos_grpc.control_plane.envoy_process import RunningEnvoy


class FakeDiscovery(discovery_service_pb2_grpc.DiscoveryServiceServicer):
    """Knows nobody."""

    async def ListAgents(  # noqa: N802 - the name in the contract
        self, request: discovery_service_pb2.ListAgentsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> discovery_service_pb2.ListAgentsResponse:
        del request, context
        return discovery_service_pb2.ListAgentsResponse(next_page_token="more")  # noqa: S106 - no secret

    async def Renew(  # noqa: N802 - the name in the contract
        self, request: discovery_service_pb2.RenewRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> discovery_service_pb2.RenewResponse:
        del request, context
        return discovery_service_pb2.RenewResponse()


@asynccontextmanager
async def server_of(*register: Callable[[grpc.aio.Server], None], address: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """A bare gRPC server; gives its address."""
    server = grpc.aio.server()
    for each in register:
        each(server)
    port = server.add_insecure_port(address)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


# Longer than a mesh waits by default: on a busy machine a router that is well may take so long.
ROUTER_LIMIT = timedelta(seconds=1.5)


@dataclass
class Mesh:
    """What a test of Envoy needs."""

    registry: FakeRegistry
    orchestrator: PlainAgent
    envoy: RunningEnvoy
    edge: grpc.aio.Channel
    internal: grpc.aio.Channel
    ads_address: str
    stop_orchestrator: Callable[[], Awaitable[None]]
    stop_control_plane: Callable[[], Awaitable[None]]

    def text(
        self, said: str, *, agent: str = "billing", conversation: str = "", on: grpc.aio.Channel | None = None
    ) -> grpc.aio.UnaryStreamCall[Any, Any]:
        """A turn over the internal listener to an agent, or over another channel."""
        pairs = (("x-lmos-route", f"{agent}/1.0.0/stable" if agent else ""), ("x-lmos-conversation", conversation))
        return turn(on or self.internal, said, *((key, value) for key, value in pairs if value))


def turn(channel: grpc.aio.Channel, said: str, *metadata: tuple[str, str]) -> grpc.aio.UnaryStreamCall[Any, Any]:
    """A turn over a channel."""
    stub: AgentServiceAsyncStub = agent_service_pb2_grpc.AgentServiceStub(channel)  # type: ignore[assignment]
    message = message_pb2.Message(parts=[message_pb2.Part(text=said)])
    request = agent_service_pb2.InvokeRequest(message=message)
    return stub.Invoke(request, metadata=metadata, timeout=20)


def bare(channel: grpc.aio.Channel, method: str) -> grpc.aio.UnaryUnaryCall[Any, Any]:
    """A call of a method with nothing in it."""
    call: grpc.aio.UnaryUnaryMultiCallable[Any, Any] = channel.unary_unary(method)
    return call(b"", timeout=5)


async def answer(call: AsyncIterable[agent_service_pb2.InvokeResponse]) -> str:
    """The text of a whole turn."""
    return "".join([response.event.text_delta.text async for response in call])


async def failure(call: Awaitable[Any] | AsyncIterable[Any]) -> tuple[grpc.StatusCode, str, str]:
    """Code, reason and message of a call that has to fail."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await (answer(call) if isinstance(call, AsyncIterable) else call)
    error = raised.value
    reason = dict(error.trailing_metadata() or ()).get("x-lmos-error-reason", "")
    return error.code(), str(reason), error.details() or ""


async def only(mesh: Mesh, label: str) -> bool:
    """Whether all conversations are answered by that instance, without failing and without hanging."""
    try:
        async with asyncio.timeout(0.5):
            return {await answer(mesh.text("hello", conversation=f"c{number}")) for number in range(8)} == {label}
    except (grpc.aio.AioRpcError, TimeoutError):
        return False


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - Envoy sets no event of ours
            await asyncio.sleep(0.02)


async def until_answering(mesh: Mesh, label: str) -> None:
    async def answering() -> bool:
        try:
            # So many that it is no matter of luck: which instance a conversation gets depends on their ports.
            for each in range(64):
                if await answer(mesh.text("hello", conversation=str(each))) == label:
                    return True
        except grpc.aio.AioRpcError:
            return False
        return False

    await until(answering)


async def until_failing(mesh: Mesh, reason: str) -> None:
    async def failing() -> bool:
        try:
            await answer(mesh.text("hello"))
        except grpc.aio.AioRpcError as error:
            return dict(error.trailing_metadata() or ()).get("x-lmos-error-reason") == reason
        return False

    await until(failing)


@asynccontextmanager
async def plain_agents(registry: FakeRegistry, name: str, *labels: str) -> AsyncIterator[list[PlainAgent]]:
    """Instances of one agent, registered until the block ends."""
    async with AsyncExitStack() as stack:
        agents = [await stack.enter_async_context(serving(PlainAgent(label))) for label in labels]
        registry.put(*(instance(name, agent.address) for agent in agents))
        yield agents
        registry.remove(*(instance(name, agent.address) for agent in agents))


@asynccontextmanager
async def running_mesh(
    state: Path,
    registry: FakeRegistry,
    *,
    otlp: str | None = None,
    ads: AdsService | None = None,
    express: tuple[str, ...] = (),
) -> AsyncIterator[Mesh]:
    """The mesh around one Envoy: an orchestrator and discovery stand-in, the control plane, and reflection."""
    ads = ads or AdsService(registry.view)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        first, second = await enter(AsyncExitStack()), await enter(AsyncExitStack())
        orchestrator = await first.enter_async_context(serving(PlainAgent("orchestrator")))
        discovery = await enter(server_of(_add_discovery))
        public = await enter(server_of(_add_reflection))
        ads_address = await second.enter_async_context(server_of(ads.add_to_server))
        settings = EnvoySettings(
            orchestrator=(orchestrator.address,),
            discovery=(discovery,),
            conversation=(orchestrator.address,),
            reflection=(public,),
            ads=(ads_address,),
            express=express,
            router_limit=ROUTER_LIMIT,
            edge_port=0,
            internal_port=0,
            admin_port=0,
            otlp=otlp,
            allowed_origins=("https://shop.example", "local"),
            concurrency=1,
        )
        envoy = await enter(run_envoy(settings, log_path=state / "envoy.log"))
        edge = await enter(grpc.aio.insecure_channel(f"127.0.0.1:{envoy.edge_port}"))
        internal = await enter(grpc.aio.insecure_channel(f"127.0.0.1:{envoy.internal_port}"))
        yield Mesh(registry, orchestrator, envoy, edge, internal, ads_address, first.aclose, second.aclose)


def _add_discovery(server: grpc.aio.Server) -> None:
    discovery_service_pb2_grpc.add_DiscoveryServiceServicer_to_server(
        FakeDiscovery(),  # type: ignore[abstract]  # what is not overridden answers UNIMPLEMENTED
        server,
    )


def _add_reflection(server: grpc.aio.Server) -> None:
    reflection.enable_server_reflection(["lmos.agent.v1.AgentService", reflection.SERVICE_NAME], server)
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
async def mesh(tmp_path: Path, registry: FakeRegistry) -> AsyncIterator[Mesh]:
    async with running_mesh(tmp_path, registry) as running:
        yield running
