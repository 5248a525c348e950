"""Agents whose turns are written by the test: served over real gRPC, with the real agent_service."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.agent_service import AGENT_SERVICE, LiveSessions, TurnExecutor, add_agent_service
from lmos_grpc.clients.agent_client import AgentClient
from lmos_grpc.conversation import MemoryTurnLog
from lmos_grpc.domain.card import AgentCard, Capability
from lmos_grpc.domain.event import TextDelta
from lmos_grpc.domain.instance import Instance, Lease, RegistryUpdate, SnapshotPart
from lmos_grpc.rpc import open_channel, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from lmos_grpc.agent_service import Emit, TurnWork
    from lmos_grpc.agent_service.session_store import SessionStore
    from lmos_grpc.clients.agent_session import AgentSession
    from lmos_grpc.conversation import TurnLog
    from lmos_grpc.domain.live_session import SessionStart
    from lmos_grpc.domain.turn import CallContext, TurnRequest
    from lmos_grpc.rpc import Inflow

    Script = Callable[[TurnRequest, Emit], Awaitable[None]]


_DRAIN = timedelta(seconds=2)


async def say_hello(turn: TurnRequest, emit: Emit) -> None:
    """The script of an agent that greets."""
    await emit(TextDelta(f"hello from {turn.hint.capability or 'nobody'}"))


@dataclass
class ScriptedAgent:
    """A `TurnRunner` that runs a script, and remembers what it was asked."""

    script: Script = say_hello
    name: str = "scripted"
    version: str = "1.0.0"
    capability: str = "greet"
    phrases: tuple[str, ...] = ("hello there",)
    refusal: Exception | None = None
    asked: list[TurnRequest] = field(default_factory=list)
    time_left: list[timedelta] = field(default_factory=list)
    admitted: asyncio.Event = field(default_factory=asyncio.Event)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    def card(self) -> AgentCard:
        capability = Capability(self.capability, "1.0.0", self.capability, examples={"en": self.phrases})
        return AgentCard(self.name, self.version, self.name, (capability,), may_hand_over=True)

    async def admit(self, turn: TurnRequest, time_left: timedelta) -> TurnWork:
        self.asked.append(turn)
        self.time_left.append(time_left)
        self.admitted.set()
        if self.refusal:
            raise self.refusal

        async def work(emit: Emit, /) -> None:
            self.started.set()
            try:
                await self.script(turn, emit)
            except asyncio.CancelledError:
                self.cancelled.set()
                raise

        return work


@asynccontextmanager
async def serve_scripted(
    agent: ScriptedAgent,
    *,
    log: TurnLog | None = None,
    store: SessionStore | None = None,
    keep: timedelta = timedelta(seconds=30),
) -> AsyncIterator[str]:
    """Serves the agent on a free loopback port and gives its address."""
    async with bare_errors(), asyncio.TaskGroup() as endings:
        executor = TurnExecutor(agent, log or MemoryTurnLog(), endings)
        async with (
            LiveSessions(executor, store=store, keep=keep) as sessions,
            serve(
                "127.0.0.1:0",
                register=lambda server: add_agent_service(server, executor, sessions, agent.card),
                services=[AGENT_SERVICE],
            ) as server,
            sessions.leaving(server, _DRAIN),
        ):
            yield server.address


@asynccontextmanager
async def bare_errors() -> AsyncIterator[None]:
    """Lets a test see the error that it caused instead of the group that a TaskGroup makes of it."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


def instance_of(agent: ScriptedAgent, address: str) -> Instance:
    """The agent's instance as discovery would tell of it."""
    return Instance(f"{agent.name}-1", address, agent.card(), Lease(f"{agent.name}-1", 1))


def whole_registry(*instances: Instance) -> RegistryUpdate:
    """A registry that holds these instances and nothing else."""
    return RegistryUpdate(1, "test:1", SnapshotPart(instances, first=True, last=True))


class DirectCaller:
    """Calls agents at their addresses, without Envoy between."""

    def __init__(self, clients: dict[str, AgentClient]) -> None:
        self._clients = clients

    def receive(
        self,
        turn: TurnRequest,
        on_message: Callable[[bytes], None],
        *,
        route: str = "",
        timeout: timedelta | None = None,
    ) -> Inflow:
        return self._clients[route].receive(turn, on_message, route=route, timeout=timeout)

    def converse(self, start: SessionStart, context: CallContext, *, route: str) -> AgentSession:
        return self._clients[route].converse(start, context, route=route)


@asynccontextmanager
async def direct_caller(addresses: dict[str, str]) -> AsyncIterator[DirectCaller]:
    """A caller that knows the address behind each route."""
    async with AsyncExitStack() as stack:
        channels = {
            route: await stack.enter_async_context(open_channel(address)) for route, address in addresses.items()
        }
        yield DirectCaller({route: AgentClient(channel) for route, channel in channels.items()})
