"""Serves an agent: AgentService, health and reflection, its place in the registry, and an orderly end."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvloop

from lmos_grpc.agent_service import AGENT_SERVICE, LiveSessions, TurnExecutor, add_agent_service
from lmos_grpc.clients.agent_client import AgentClient
from lmos_grpc.clients.discovery_client import DiscoveryClient
from lmos_grpc.conversation import ConversationClient, MemoryTurnLog
from lmos_grpc.domain.card import card_violations
from lmos_grpc.errors import InvalidCardError
from lmos_grpc.rpc import open_channel, require_safe_address, serve
from lmos_grpc.sdk.address import advertised_address
from lmos_grpc.sdk.agent_runner import AgentRunner
from lmos_grpc.sdk.drain import stop_signals
from lmos_grpc.sdk.listeners import Listeners
from lmos_grpc.sdk.mesh_calls import MeshCalls
from lmos_grpc.sdk.registration import Registration, random_instance_id
from lmos_grpc.sdk.settings import AgentSettings
from lmos_grpc.sdk.turn_report import TurnReports
from lmos_grpc.telemetry import ServerTracingInterceptor, client_interceptors, configure_logging, start_tracing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from lmos_grpc.domain.card import AgentCard
    from lmos_grpc.sdk.agent import Agent
    from lmos_grpc.sdk.settings import ModelSettings
    from lmos_grpc.sdk.turn_scope import LanguageModel, MeshCaller
    from lmos_grpc.telemetry import Metrics, Tracing

_LOG = logging.getLogger(__name__)
_TOLD_WITHIN = 0.9


@dataclass(frozen=True, slots=True)
class ServedAgent:
    """An agent that answers at `address`, where the mesh reaches it."""

    card: AgentCard
    address: str
    registration: Registration | None

    async def wait_registered(self) -> None:
        """Returns once discovery has given a lease; at once where the agent is served without a mesh."""
        if self.registration is not None:
            await self.registration.wait_registered()


@asynccontextmanager
async def serve_agent(
    agent: Agent,
    settings: AgentSettings | None = None,
    *,
    metrics: Metrics | None = None,
    new_id: Callable[[str], str] = random_instance_id,
) -> AsyncIterator[ServedAgent]:
    """Serves an agent while the block runs, registered in its mesh as long as discovery can be reached.

    At the end of the block it drains: DRAINING is told to discovery, health says NOT_SERVING, running turns get
    `drain_timeout` to finish, and the lease is dropped. Several agents may be served in one process.

    Raises:
        InvalidCardError: the agent's card breaks a rule of the contract.
        InvalidConfigurationError: it may not listen there, or cannot be reached there.
        EnvironmentFaultError: the address cannot be bound.
    """
    settings = settings or AgentSettings()
    card = _checked(agent.card)
    require_safe_address(settings.listen, insecure_ok=settings.insecure_listen)
    # What is entered later ends earlier: the order of the drain follows from the order of these lines.
    async with AsyncExitStack() as stack:
        tracing = await stack.enter_async_context(_tracing(card, settings))
        model = await stack.enter_async_context(_model(settings.model, tracing))
        mesh = await stack.enter_async_context(_mesh(settings.mesh, tracing))
        reports = await stack.enter_async_context(_reports(settings.mesh if card.records_turns else None))
        listeners = await stack.enter_async_context(Listeners())
        runner = AgentRunner(
            agent,
            tracing.tracer,
            model=model,
            mesh=mesh,
            metrics=metrics,
            max_turns=settings.max_concurrent_turns,
            reports=reports,
            listeners=listeners,
        )
        registration = await stack.enter_async_context(_registration(card, settings, runner, new_id))
        bound = await stack.enter_async_context(_server(runner, listeners, settings, tracing))
        address = advertised_address(bound, settings.advertise)
        if registration is not None:
            await stack.enter_async_context(registration.announced(address, grace=settings.drain_grace))
        _LOG.info("serving %s %s at %s", card.name, card.version, address)
        yield ServedAgent(card, address, registration)


def run_agents(agents: Sequence[Agent], settings: AgentSettings | None = None) -> None:
    """Serves agents until SIGTERM or Ctrl-C, drains them, and returns. Logs to standard error if nobody else logs.

    Raises:
        LmosError: as `serve_agent`; one agent that cannot be served ends the others.
    """
    if not logging.getLogger().handlers:
        configure_logging("INFO", json=False)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve_until_stopped(agents, settings))


async def _serve_until_stopped(agents: Sequence[Agent], settings: AgentSettings | None) -> None:
    try:
        with stop_signals() as stop:
            async with asyncio.TaskGroup() as group:
                for agent in agents:
                    group.create_task(_serve_one(agent, settings, stop))
    except BaseExceptionGroup as failures:
        # One reason is enough, and the one that people can read.
        raise failures.exceptions[0] from None


async def _serve_one(agent: Agent, settings: AgentSettings | None, stop: asyncio.Event) -> None:
    async with serve_agent(agent, settings):
        await stop.wait()
        _LOG.info("draining %s", agent.name)


def _checked(card: AgentCard) -> AgentCard:
    if violations := card_violations(card):
        raise InvalidCardError(f"the card of {card.name!r} is not valid: {'; '.join(violations)}", agent=card.name)
    return card


def _tracing(card: AgentCard, settings: AgentSettings) -> Tracing:
    return start_tracing(
        card.name,
        endpoint=settings.otlp_endpoint,
        instance_id=random_instance_id(card.name),
        capture_content=settings.record_text,
    )


def _model(settings: ModelSettings | None, tracing: Tracing) -> AbstractAsyncContextManager[LanguageModel | None]:
    if settings is None:
        return nullcontext()
    # The client is large, and only who has a model needs it.
    from lmos_grpc.sdk.model import open_model  # noqa: PLC0415 # half a second that most agents can save

    return open_model(settings, tracing)


@asynccontextmanager
async def _mesh(address: str | None, tracing: Tracing) -> AsyncIterator[MeshCaller | None]:
    if address is None:
        yield None
        return
    interceptors = client_interceptors(tracing.tracer, address=address)
    async with open_channel(address, interceptors=interceptors) as channel:
        yield MeshCalls(AgentClient(channel))


@asynccontextmanager
async def _reports(address: str | None) -> AsyncIterator[TurnReports]:
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(open_channel(address)) if address else None
        reports = TurnReports(ConversationClient(channel) if channel else None)
        async with reports.running():
            yield reports


@asynccontextmanager
async def _registration(
    card: AgentCard, settings: AgentSettings, runner: AgentRunner, new_id: Callable[[str], str]
) -> AsyncIterator[Registration | None]:
    if settings.mesh is None:
        yield None
        return
    # A channel without interceptors: a span for each renewal would tell nobody anything.
    async with open_channel(settings.mesh) as channel:
        client = DiscoveryClient(channel)
        registration = Registration(client, card, ttl=settings.lease_ttl, load=lambda: runner.load, new_id=new_id)
        async with registration.held():
            yield registration


@asynccontextmanager
async def _server(
    runner: AgentRunner, listeners: Listeners, settings: AgentSettings, tracing: Tracing
) -> AsyncIterator[str]:
    endings = asyncio.TaskGroup()
    async with AsyncExitStack() as stack:
        await endings.__aenter__()
        # Entered by hand, so that what ends the block leaves it as itself and not as a group.
        stack.push_async_callback(endings.__aexit__, None, None, None)
        executor = TurnExecutor(runner, MemoryTurnLog(), endings)
        sessions = await stack.enter_async_context(
            LiveSessions(executor, turn_limit=settings.max_turn_time, audience=listeners)
        )
        server = await stack.enter_async_context(
            serve(
                settings.listen,
                register=lambda server: add_agent_service(
                    server, executor, sessions, runner.card, max_turn_time=settings.max_turn_time
                ),
                services=[AGENT_SERVICE],
                interceptors=[ServerTracingInterceptor(tracing.tracer)],
                drain=settings.drain_timeout,
            )
        )
        # A little before the server cancels what is left, because a cancelled turn cannot tell its caller why.
        limit = settings.drain_timeout.total_seconds() * _TOLD_WITHIN
        await stack.enter_async_context(sessions.leaving(server, settings.drain_timeout))
        stack.callback(asyncio.get_running_loop().call_later, limit, runner.cut_off)
        yield server.address
