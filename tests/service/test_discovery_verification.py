"""Registering over real sockets: who answers at the address, and what when it is nobody, nonsense or somebody else."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from lmos_grpc.clients.agent_client import AgentClient
from lmos_grpc.domain.card import AgentCard, Capability
from lmos_grpc.errors import AgentUnreachableError, CardMismatchError
from lmos_grpc.rpc import open_channel
from tests.fakes.discovery_server import running_discovery
from tests.fakes.registrations import card
from tests.fakes.scripted_agent import ScriptedAgent, serve_scripted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

GET_CARD = "/lmos.agent.v1.AgentService/GetAgentCard"


@asynccontextmanager
async def raw_agent(answer: Callable[[], Awaitable[bytes]]) -> AsyncIterator[str]:
    """A gRPC server that answers GetAgentCard with bytes of its own choice."""

    class Handler(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
            async def behaviour(_request: bytes, _context: object) -> bytes:
                return await answer()

            return grpc.unary_unary_rpc_method_handler(behaviour) if details.method == GET_CARD else None

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def never() -> bytes:
    await asyncio.Event().wait()
    return b""


async def garbage() -> bytes:
    return b"\xff\xff\xff\xff"


async def nothing() -> bytes:
    return b""


async def test_an_agent_that_answers_with_its_card_is_registered() -> None:
    agent = ScriptedAgent()
    async with running_discovery() as discovery, serve_scripted(agent) as address:
        async with open_channel(address) as channel:
            told = await AgentClient(channel).get_card(timeout=timedelta(seconds=5))
        lease = await discovery.client.register("scripted-1", address, told)
    assert lease.epoch == 1


@pytest.mark.parametrize(
    ("registered", "words"),
    [
        (
            AgentCard("other", "1.0.0", capabilities=(Capability("greet", "1.0.0"),)),
            "it is 'scripted' '1.0.0', and not other",
        ),
        (AgentCard("scripted", "2.0.0", capabilities=(Capability("greet", "1.0.0"),)), "and not scripted 2.0.0"),
    ],
    ids=["name", "version"],
)
async def test_an_agent_that_is_another_one_is_refused(registered: AgentCard, words: str) -> None:
    async with running_discovery() as discovery, serve_scripted(ScriptedAgent()) as address:
        with pytest.raises(CardMismatchError, match=words):
            await discovery.client.register("scripted-1", address, registered)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (never, AgentUnreachableError, r"did not answer .*GetAgentCard within 0\.2 s"),
        (garbage, AgentUnreachableError, "did not answer"),
        (nothing, CardMismatchError, "it is '' ''"),
    ],
)
async def test_an_agent_that_does_not_answer_sensibly_is_refused(
    answer: Callable[[], Awaitable[bytes]], error: type[Exception], words: str
) -> None:
    answer_time = timedelta(milliseconds=200)
    async with running_discovery(answer_time=answer_time) as discovery, raw_agent(answer) as address:
        with pytest.raises(error, match=words):
            await discovery.client.register("billing-1", address, card())
        assert discovery.registry.instances() == ()


async def test_a_server_without_the_contract_is_refused() -> None:
    # Discovery itself speaks gRPC, but is no agent.
    async with running_discovery() as discovery:
        with pytest.raises(AgentUnreachableError, match="Serve it before registering"):
            await discovery.client.register("billing-1", discovery.address, card())


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00" * 100, b""])
async def test_a_server_that_speaks_something_else_is_refused(greeting: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await reader.read(1)
        writer.close()

    async with running_discovery() as discovery, await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(AgentUnreachableError):
            await discovery.client.register("billing-1", f"127.0.0.1:{port}", card())


async def test_an_address_where_nobody_listens_is_refused_at_once() -> None:
    async with await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    async with running_discovery() as discovery:
        async with asyncio.timeout(2):
            with pytest.raises(AgentUnreachableError, match=f"127.0.0.1:{port} did not answer"):
                await discovery.client.register("billing-1", f"127.0.0.1:{port}", card())
        await discovery.client.list_agents()


async def test_many_that_never_answer_do_not_hold_up_renewals() -> None:
    async with (
        running_discovery(answer_time=timedelta(seconds=1)) as discovery,
        serve_scripted(ScriptedAgent()) as address,
        raw_agent(never) as silent,
        asyncio.timeout(10),
        asyncio.TaskGroup() as tasks,
    ):

        async def refused(number: int) -> None:
            with pytest.raises(AgentUnreachableError):
                await discovery.client.register(f"silent-{number}", silent, card())

        lease = await discovery.client.register("scripted-1", address, ScriptedAgent().card())
        waiting = [tasks.create_task(refused(number)) for number in range(20)]
        assert await discovery.client.renew(lease) == lease
        assert not any(task.done() for task in waiting)
