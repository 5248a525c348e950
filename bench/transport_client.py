"""A caller in Python that does nothing but listen: bytes of the contract, over either transport."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import uvloop
from lmos.agent.v1 import agent_service_pb2, message_pb2

from lmos_grpc.rpc import Transport, choose_transport, open_channel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    # One call; gives how many messages came.
    Ask = Callable[[], Awaitable[int]]

_SERVICE = "/lmos.agent.v1.AgentService"


def _one(channel: Any) -> Ask:  # Any: a channel of either transport
    card = channel.unary_unary(f"{_SERVICE}/GetAgentCard")

    async def ask() -> int:
        await card(b"", timeout=30)
        return 1

    return ask


def _many(channel: Any, tokens: int, *, push: bool) -> Ask:  # Any: a channel of either transport
    invoke = channel.unary_stream(f"{_SERVICE}/Invoke")
    part = message_pb2.Part(text=f"work tokens={tokens} pace=0s")
    request = agent_service_pb2.InvokeRequest(message=message_pb2.Message(parts=[part])).SerializeToString()

    async def iterate() -> int:
        return len([message async for message in invoke(request, timeout=30)])

    async def receive() -> int:
        got: list[bytes] = []
        await invoke.receive(request, got.append, timeout=30).ended()
        return len(got)

    return receive if push else iterate


async def _measure(ask: Ask, callers: int, seconds: float) -> tuple[int, int]:
    until = time.monotonic() + seconds

    async def call() -> tuple[int, int]:
        calls = messages = 0
        while time.monotonic() < until:
            messages += await ask()
            calls += 1
        return calls, messages

    found = await asyncio.gather(*(call() for _ in range(callers)))
    return sum(calls for calls, _ in found), sum(messages for _, messages in found)


async def run(asked: argparse.Namespace) -> None:
    """Calls, first to warm up, then for the measurement."""
    choose_transport(asked.transport)
    async with open_channel(asked.target) as channel:
        ask = _many(channel, asked.tokens, push=asked.push) if asked.tokens else _one(channel)
        await _measure(ask, asked.callers, asked.warm)
        began, before = time.monotonic(), time.process_time()
        calls, messages = await _measure(ask, asked.callers, asked.seconds)
        took, cpu = time.monotonic() - began, time.process_time() - before
    print(json.dumps({"event": "end", "calls": calls, "messages": messages, "seconds": took, "cpu": cpu}), flush=True)


def main() -> None:
    """Runs the caller, on the event loop that the mesh has too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transport", type=Transport, required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--push", action="store_true")
    parser.add_argument("--tokens", type=int, default=0, help="0: a call with one answer")
    parser.add_argument("--callers", type=int, default=1)
    parser.add_argument("--warm", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=2)
    uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
