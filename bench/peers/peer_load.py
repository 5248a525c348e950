"""The load on a peer, in nothing but the standard library, so that it runs in the environment of each."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    # Asks for a turn (the caller, its agent, or None for all, and how many events) and yields once for each event.
    Ask = Callable[[int, int | None, int], AsyncIterator[None]]

AGENTS = 8
EVENT = "a token "  # eight characters, as of a model


@dataclass(slots=True)
class Measured:
    """What was seen within the time of the measurement."""

    on: bool = False
    turns: int = 0
    events: int = 0
    turn_ms: list[float] = field(default_factory=list)


def arguments() -> argparse.Namespace:
    """The command line that every peer has: `agents`, or `caller` with its load."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["agents", "caller"])
    parser.add_argument("--addresses", default="", help="where to find what is called, separated by commas")
    parser.add_argument("--callers", type=int, default=1)
    parser.add_argument("--events", type=int, default=1)
    parser.add_argument("--all", action="store_true", help="ask all agents at once")
    parser.add_argument("--warm", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=2)
    return parser.parse_args()


def say(**values: object) -> None:
    """Prints a JSON line."""
    print(json.dumps(values), flush=True)


async def run_load(asked: argparse.Namespace, opened: AbstractAsyncContextManager[Ask]) -> None:
    """Runs the load and says what was measured."""
    measured = Measured()
    async with opened as ask:
        async with asyncio.TaskGroup() as first:
            for caller in range(asked.callers):
                first.create_task(_first_turn(ask, caller, None if asked.all else caller % AGENTS))
        callers = [
            asyncio.create_task(_call(measured, ask, caller, None if asked.all else caller % AGENTS, asked.events))
            for caller in range(asked.callers)
        ]
        await _unless_broken(callers, asked.warm)
        measured.on, began = True, time.perf_counter()
        await _unless_broken(callers, asked.seconds)
        measured.on, seconds = False, time.perf_counter() - began
        for each in callers:
            each.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
    times = sorted(measured.turn_ms) or [0.0]
    say(
        event="end",
        turns_per_second=measured.turns / seconds,
        events_per_second=measured.events / seconds,
        p50=times[len(times) // 2],
        p99=times[int(len(times) * 0.99)],
    )


async def serve_until_end(addresses: list[str]) -> None:
    """Says where the agents are, and returns when whoever started us closed our input."""
    say(event="ready", addresses=addresses)
    await asyncio.to_thread(sys.stdin.read)


async def _first_turn(ask: Ask, caller: int, agent: int | None) -> None:
    # Some frameworks take a second to find an agent for the first time, and none of it belongs to the measurement.
    async for _ in ask(caller, agent, 1):
        pass


async def _call(measured: Measured, ask: Ask, caller: int, agent: int | None, events: int) -> None:
    while True:
        began, counted, received = time.perf_counter(), measured.on, 0
        async for _ in ask(caller, agent, events):
            received += 1
            measured.events += measured.on
        wanted = events * (AGENTS if agent is None else 1)
        if received != wanted:
            raise RuntimeError(f"{received} events came of {wanted}")
        measured.turns += measured.on
        if counted and measured.on:
            measured.turn_ms.append((time.perf_counter() - began) * 1_000)


async def _unless_broken(callers: list[asyncio.Task[None]], seconds: float) -> None:
    done, _ = await asyncio.wait(callers, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for each in done:
        each.result()


async def merged(ask: Callable[[int], AsyncIterator[None]]) -> AsyncIterator[None]:
    """The events of all agents as they come, for peers whose callers have to fan out themselves."""
    ended = object()
    queue: asyncio.Queue[object] = asyncio.Queue()

    async def one(agent: int) -> None:
        async for _ in ask(agent):
            queue.put_nowait(None)

    async def all_of_them() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for agent in range(AGENTS):
                    group.create_task(one(agent))
        finally:
            queue.put_nowait(ended)

    asking = asyncio.create_task(all_of_them())
    try:
        while await queue.get() is not ended:
            yield
        await asking
    finally:
        asking.cancel()


def run(main: Awaitable[None]) -> None:
    """Runs a peer on the event loop of the standard library, which is what its own examples do."""

    async def running() -> None:
        await main

    asyncio.run(running())
