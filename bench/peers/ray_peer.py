"""Ray Serve's gRPC proxy: eight applications of one replica each, chosen by metadata as its documentation has it."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

import grpc
import grpc.aio
import ray
from google.protobuf.wrappers_pb2 import StringValue
from ray import serve
from ray.serve.config import gRPCOptions

from bench.peers.peer_load import AGENTS, EVENT, arguments, merged, run, run_load, serve_until_end

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator

    from bench.peers.peer_load import Ask

_SERVICE = "bench.Peer"


class Peer(Protocol):
    """What the proxy is told that there is to call."""

    def Ask(self, request: StringValue) -> StringValue:  # noqa: N802 - a method of a service
        """One piece."""

    def AskMany(self, request: StringValue) -> StringValue:  # noqa: N802 - as above
        """Many pieces."""


def add_peer_to_server(servicer: Peer, server: grpc.Server) -> None:
    """Adds the service; the proxy reads from it which methods there are."""
    read, written = StringValue.FromString, StringValue.SerializeToString
    handlers = {
        "Ask": grpc.unary_unary_rpc_method_handler(servicer.Ask, read, written),
        "AskMany": grpc.unary_stream_rpc_method_handler(servicer.AskMany, read, written),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))


@serve.deployment(num_replicas=1, max_ongoing_requests=1_000, ray_actor_options={"num_cpus": 0})
class Answering:
    """Answers with one piece, or with many."""

    async def Ask(self, request: StringValue) -> StringValue:  # noqa: N802 - as above
        """Does a turn."""
        del request
        return StringValue(value=EVENT)

    async def AskMany(self, request: StringValue) -> AsyncIterator[StringValue]:  # noqa: N802 - as above
        """Does a turn of many pieces."""
        for _ in range(int(request.value)):
            yield StringValue(value=EVENT)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


async def _serve() -> None:
    port = _free_port()
    # Nothing is to be left in the home directory, and nothing reported.
    os.environ.update(RAY_AUTH_MODE="disabled", RAY_USAGE_STATS_ENABLED="0")
    ray.init(address="local", num_cpus=AGENTS, include_dashboard=False, log_to_driver=False)
    try:
        functions = [f"{__spec__.name}.add_peer_to_server"]
        options = gRPCOptions(port=port, grpc_servicer_functions=functions)
        serve.start(http_options={"host": "127.0.0.1", "port": _free_port()}, grpc_options=options)
        for number in range(AGENTS):
            application = Answering.bind()  # type: ignore[attr-defined] # the package is not there when this is checked
            await asyncio.to_thread(serve.run, application, name=f"agent-{number}", route_prefix=f"/agent-{number}")
        await serve_until_end([f"127.0.0.1:{port}"])
    finally:
        await asyncio.to_thread(serve.shutdown)
        ray.shutdown()


@asynccontextmanager
async def _caller(address: str) -> AsyncIterator[Ask]:
    async with grpc.aio.insecure_channel(address) as channel:
        read, written = StringValue.FromString, StringValue.SerializeToString
        single = channel.unary_unary(f"/{_SERVICE}/Ask", written, read)
        many = channel.unary_stream(f"/{_SERVICE}/AskMany", written, read)

        async def one(agent: int, events: int) -> AsyncIterator[None]:
            application = (("application", f"agent-{agent}"),)
            if events == 1:
                await single(StringValue(value="1"), metadata=application)
                yield
                return
            async for _ in many(StringValue(value=str(events)), metadata=application):
                yield

        def ask(_caller: int, agent: int | None, events: int) -> AsyncIterator[None]:
            return one(agent, events) if agent is not None else merged(lambda each: one(each, events))

        yield ask


async def _main(asked: argparse.Namespace) -> None:
    if asked.role == "agents":
        await _serve()
    else:
        await run_load(asked, _caller(asked.addresses))


if __name__ == "__main__":
    run(_main(arguments()))
