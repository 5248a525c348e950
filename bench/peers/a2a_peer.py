"""a2a-sdk over gRPC: eight agents as its documentation makes them, each with a task store in memory."""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import grpc.aio
from a2a.client.client import ClientConfig
from a2a.client.client_factory import ClientFactory
from a2a.helpers.proto_helpers import new_task_from_user_message, new_text_message, new_text_part
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler, GrpcHandler
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import a2a_pb2, a2a_pb2_grpc

from bench.peers.peer_load import AGENTS, EVENT, arguments, merged, run, run_load, serve_until_end

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator

    from a2a.client.client import Client
    from a2a.server.agent_execution import RequestContext
    from a2a.server.events import EventQueue

    from bench.peers.peer_load import Ask


class Streaming(AgentExecutor):  # type: ignore[misc] # the package is not in the environment that is checked
    """Streams pieces of an artifact, as A2A has it for answers that come bit by bit."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Does the turn that the text of the message asks for."""
        task = new_task_from_user_message(context.message)
        await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        answer = uuid.uuid4().hex
        for number in range(int(context.get_user_input())):
            await updater.add_artifact([new_text_part(EVENT)], artifact_id=answer, append=number > 0)
        await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Nothing is left to do."""


def _card(address: str) -> a2a_pb2.AgentCard:
    return a2a_pb2.AgentCard(
        name="peer",
        description="Answers the benchmark.",
        version="1.0.0",
        capabilities=a2a_pb2.AgentCapabilities(streaming=True),
        supported_interfaces=[a2a_pb2.AgentInterface(protocol_binding="GRPC", url=address, protocol_version="1.0")],
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
    )


async def _serve() -> None:
    addresses: list[str] = []
    async with AsyncExitStack() as stack:
        for _ in range(AGENTS):
            server = grpc.aio.server()
            addresses.append(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
            handler = DefaultRequestHandler(Streaming(), InMemoryTaskStore(), _card(addresses[-1]))
            a2a_pb2_grpc.add_A2AServiceServicer_to_server(GrpcHandler(handler), server)
            await server.start()
            stack.push_async_callback(server.stop, 0)
        await serve_until_end(addresses)


@asynccontextmanager
async def _caller(addresses: list[str]) -> AsyncIterator[Ask]:
    config = ClientConfig(
        streaming=True, supported_protocol_bindings=["GRPC"], grpc_channel_factory=grpc.aio.insecure_channel
    )
    clients: list[Client] = [ClientFactory(config).create(_card(address)) for address in addresses]

    async def one(agent: int, events: int) -> AsyncIterator[None]:
        request = a2a_pb2.SendMessageRequest(message=new_text_message(str(events), role=a2a_pb2.Role.ROLE_USER))
        async for response in clients[agent].send_message(request):
            if response.HasField("artifact_update"):
                yield

    def ask(_caller: int, agent: int | None, events: int) -> AsyncIterator[None]:
        return one(agent, events) if agent is not None else merged(lambda each: one(each, events))

    try:
        yield ask
    finally:
        for each in clients:
            await each.close()


async def _main(asked: argparse.Namespace) -> None:
    if asked.role == "agents":
        await _serve()
    else:
        await run_load(asked, _caller(asked.addresses.split(",")))


if __name__ == "__main__":
    run(_main(arguments()))
