"""AutoGen's gRPC runtime: a host, a worker with eight agents, and callers in another worker.

It has no call that streams; the pieces of an answer are messages published to a topic that only the caller listens to,
and a turn of one piece is an ordinary request with its response.
"""

from __future__ import annotations

import asyncio
import socket
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from autogen_core import (
    AgentId,
    MessageContext,  # noqa: TC002 - its decorator reads the types of handlers at run time
    RoutedAgent,
    TopicId,
    TypeSubscription,
    message_handler,
)
from autogen_core._serialization import try_get_known_serializers_for_type
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime, GrpcWorkerAgentRuntimeHost

from bench.peers.peer_load import AGENTS, EVENT, arguments, merged, run, run_load, serve_until_end

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator

    from bench.peers.peer_load import Ask

_TOPIC = "pieces"


@dataclass
class Question:
    """A turn; the pieces go to the reader of this name."""

    reader: str
    events: int


@dataclass
class Piece:
    """A piece of an answer."""

    text: str


_MESSAGES: tuple[type, ...] = (Question, Piece)


class Worker(RoutedAgent):  # type: ignore[misc] # the package is not in the environment that is checked
    """Answers with one piece, or publishes many."""

    @message_handler  # type: ignore[untyped-decorator] # as above
    async def on_question(self, message: Question, ctx: MessageContext) -> Piece:
        """Does a turn."""
        del ctx
        if message.events > 1:
            for _ in range(message.events):
                await self.publish_message(Piece(EVENT), TopicId(_TOPIC, message.reader))
        return Piece(EVENT)


class Reader(RoutedAgent):  # type: ignore[misc] # as above
    """Hands the pieces that come for it to who waits for them."""

    queues: ClassVar[defaultdict[str, asyncio.Queue[Piece]]] = defaultdict(asyncio.Queue)

    @message_handler  # type: ignore[untyped-decorator] # as above
    async def on_piece(self, message: Piece, ctx: MessageContext) -> None:
        """Takes a piece."""
        del ctx
        self.queues[self.id.key].put_nowait(message)


async def _runtime(address: str) -> GrpcWorkerAgentRuntime:
    runtime = GrpcWorkerAgentRuntime(host_address=address)
    for each in _MESSAGES:
        runtime.add_message_serializer(try_get_known_serializers_for_type(each))
    await runtime.start()
    return runtime


async def _serve() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    host = GrpcWorkerAgentRuntimeHost(address)
    host.start()
    runtime = await _runtime(address)
    for number in range(AGENTS):
        await Worker.register(runtime, f"worker_{number}", lambda: Worker("Answers the benchmark."))
    try:
        await serve_until_end([address])
    finally:
        await runtime.stop()
        await host.stop(grace=0)


@asynccontextmanager
async def _caller(address: str) -> AsyncIterator[Ask]:
    runtime = await _runtime(address)
    await Reader.register(runtime, "reader", lambda: Reader("Reads answers."))
    await runtime.add_subscription(TypeSubscription(_TOPIC, "reader"))

    async def one(caller: int, agent: int, events: int) -> AsyncIterator[None]:
        reader = f"{caller}-{agent}"
        asking = runtime.send_message(Question(reader, events), AgentId(f"worker_{agent}", "default"))
        if events == 1:
            await asking
            yield
            return
        answered = asyncio.ensure_future(asking)
        for _ in range(events):
            await Reader.queues[reader].get()
            yield
        await answered

    def ask(caller: int, agent: int | None, events: int) -> AsyncIterator[None]:
        return one(caller, agent, events) if agent is not None else merged(lambda each: one(caller, each, events))

    try:
        yield ask
    finally:
        await runtime.stop()


async def _main(asked: argparse.Namespace) -> None:
    if asked.role == "agents":
        await _serve()
    else:
        await run_load(asked, _caller(asked.addresses))


if __name__ == "__main__":
    run(_main(arguments()))
