"""SLIM's RPC: a data-plane node, eight agents that serve a method through it, and a caller with a channel to each."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import slim_bindings as slim

from bench.peers.peer_load import AGENTS, EVENT, arguments, merged, run, run_load, serve_until_end

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator

    from bench.peers.peer_load import Ask

_SERVICE = "bench.Peer"
_SECRET = "a secret that all parts of the benchmark share"  # noqa: S105 - it guards nothing
_TOKEN = EVENT.encode()


class One(slim.UnaryUnaryHandler):  # type: ignore[misc] # the package is not in the environment that is checked
    """Answers with one piece."""

    async def handle(self, request: bytes, context: slim.Context) -> bytes:
        """Does a turn."""
        del request, context
        return _TOKEN


class Many(slim.UnaryStreamHandler):  # type: ignore[misc] # as above
    """Answers with many pieces."""

    async def handle(self, request: bytes, context: slim.Context, sink: slim.ResponseSink) -> None:
        """Does a turn of many pieces."""
        del context
        for _ in range(int(request)):
            await sink.send_async(_TOKEN)
        await sink.close_async()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _initialize() -> None:
    """Sets the framework up; its log would stand between our lines."""
    slim.uniffi_set_event_loop(asyncio.get_running_loop())
    quiet = slim.new_tracing_config_with("error", display_thread_names=False, display_thread_ids=False, filters=[])
    slim.initialize_with_configs(slim.new_runtime_config(), quiet, [slim.new_service_config()])


def _name(who: str) -> slim.Name:
    return slim.Name("bench", "peers", who)


async def _app(address: str, who: str) -> tuple[slim.App, int]:
    service = slim.get_global_service()
    endpoint = f"http://{address}"
    connection = service.get_connection_id(endpoint)
    if connection is None:
        connection = await service.connect_async(slim.new_insecure_client_config(endpoint))
    app = service.create_app_with_secret(_name(who), _SECRET)
    await app.subscribe_async(_name(who), connection)
    return app, connection


async def _serve() -> None:
    _initialize()
    address = f"127.0.0.1:{_free_port()}"
    node = slim.Service("node")
    await node.run_server_async(slim.new_insecure_server_config(address))
    serving = []
    for number in range(AGENTS):
        app, connection = await _app(address, f"agent-{number}")
        server = slim.Server.new_with_connection(app, _name(f"agent-{number}"), connection)
        server.register_unary_unary(_SERVICE, "One", One())
        server.register_unary_stream(_SERVICE, "Many", Many())
        serving.append(asyncio.create_task(server.serve_async()))
    try:
        await serve_until_end([address])
    finally:
        for each in serving:
            each.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        node.stop_server(address)


@asynccontextmanager
async def _caller(address: str) -> AsyncIterator[Ask]:
    _initialize()
    app, connection = await _app(address, "caller")
    channels = [slim.Channel.new_with_connection(app, _name(f"agent-{number}"), connection) for number in range(AGENTS)]

    async def one(agent: int, events: int) -> AsyncIterator[None]:
        request = str(events).encode()
        if events == 1:
            await channels[agent].call_unary_async(_SERVICE, "One", request, None, None)
            yield
            return
        answer = await channels[agent].call_unary_stream_async(_SERVICE, "Many", request, None, None)
        while True:
            piece = await answer.next_async()
            if piece.is_end():
                return
            if piece.is_error():
                raise RuntimeError(str(piece))
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
