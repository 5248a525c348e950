"""Jina: eight deployments over gRPC, each with its gateway, as its documentation has it for answers that stream."""

# Annotations are not postponed: the framework reads those of an executor's methods when it makes the class.
import asyncio
import socket
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from docarray import BaseDoc, DocList
from jina import Client, Deployment, Executor
from jina import requests as answers

from bench.peers.peer_load import AGENTS, EVENT, arguments, merged, run, run_load, serve_until_end

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator

    from bench.peers.peer_load import Ask


class Question(BaseDoc):  # type: ignore[misc] # the package is not in the environment that is checked
    """A turn."""

    events: int


class Piece(BaseDoc):  # type: ignore[misc] # as above
    """A piece of an answer."""

    text: str


class Answering(Executor):  # type: ignore[misc] # as above
    """Answers with one piece, or with many."""

    @answers(on="/one")  # type: ignore[untyped-decorator] # as above
    async def one(self, docs: DocList[Question], **kwargs: object) -> DocList[Piece]:
        """Does a turn."""
        del kwargs
        return DocList[Piece]([Piece(text=EVENT) for _ in docs])

    @answers(on="/many")  # type: ignore[untyped-decorator] # as above
    async def many(self, doc: Question, **kwargs: object) -> Piece:  # type: ignore[misc] # what it yields, as the framework wants it
        """Does a turn of many pieces."""
        del kwargs
        for _ in range(doc.events):
            yield Piece(text=EVENT)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


async def _serve() -> None:
    ports = [_free_port() for _ in range(AGENTS)]
    with ExitStack() as stack:
        for port in ports:
            deployment = Deployment(uses=Answering, host="127.0.0.1", port=port, protocol="grpc", quiet=True)
            # In a thread, because it runs an event loop of its own until it is ready.
            await asyncio.to_thread(stack.enter_context, deployment)
        await serve_until_end([f"127.0.0.1:{port}" for port in ports])


@asynccontextmanager
async def _caller(addresses: list[str]) -> "AsyncIterator[Ask]":
    clients = [Client(host=f"grpc://{address}", asyncio=True) for address in addresses]

    async def one(agent: int, events: int) -> "AsyncIterator[None]":
        if events == 1:
            question = DocList[Question]([Question(events=1)])
            async for _ in clients[agent].post(on="/one", inputs=question, return_type=DocList[Piece]):
                yield
            return
        async for _ in clients[agent].stream_doc(on="/many", inputs=Question(events=events), return_type=Piece):
            yield

    def ask(_caller: int, agent: int | None, events: int) -> "AsyncIterator[None]":
        return one(agent, events) if agent is not None else merged(lambda each: one(each, events))

    yield ask


async def _main(asked: "argparse.Namespace") -> None:
    if asked.role == "agents":
        await _serve()
    else:
        await run_load(asked, _caller(asked.addresses.split(",")))


if __name__ == "__main__":
    run(_main(arguments()))
