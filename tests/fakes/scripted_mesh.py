"""An orchestrator in front of agents whose turns are written by the test; it decides as the test says."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.agent_service import AGENT_SERVICE, LiveSessions, TurnExecutor, add_agent_service
from lmos_grpc.clients.agent_client import AgentClient
from lmos_grpc.clients.live_view import LiveView
from lmos_grpc.conversation import MemoryTurnLog
from lmos_grpc.domain.decision import Candidate, Decision, DecisionMode, Target
from lmos_grpc.domain.event import (
    TextDelta,
    TurnDone,
)
from lmos_grpc.domain.turn import Lane, Message, Strategy, StrategyKind, TurnRequest
from lmos_grpc.errors import UnknownAgentError
from lmos_grpc.orchestrator import Orchestrator
from lmos_grpc.routing import LaneChoice
from lmos_grpc.rpc import open_channel, serve
from tests.fakes.scripted_agent import ScriptedAgent, direct_caller, instance_of, serve_scripted, whole_registry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from lmos_grpc.agent_service import Emit
    from lmos_grpc.domain.conversation import ConversationState
    from lmos_grpc.domain.event import (
        AgentEvent,
    )
    from lmos_grpc.orchestrator import Judge, OrchestratorSettings

SECOND = timedelta(seconds=1)


def decided(*names: str, kind: StrategyKind = StrategyKind.ONE, budget: timedelta | None = None) -> Decision:
    targets = tuple(Target(name, "1.0.0", capability="greet") for name in names)
    strategy = Strategy(kind, branch_budget=budget)
    return Decision(DecisionMode.CLASSIFIED, "as the test says", targets, strategy=strategy)


@dataclass
class ScriptedDecider:
    """Decides as the test says; a handover leads to the agent that it names."""

    first: Decision
    asked: list[TurnRequest] = field(default_factory=list)

    def decide(self, turn: TurnRequest, _: ConversationState, /) -> Decision:
        self.asked.append(turn)
        if len(self.asked) == 1:
            return self.first
        if turn.hint.agent == "nobody":
            raise UnknownAgentError("there is no agent 'nobody'", agent="nobody")
        return decided(turn.hint.agent)

    async def consult(self, _turn: TurnRequest, decision: Decision, _: ConversationState, /) -> Decision:
        return decision

    def lane(self, _turn: TurnRequest, _decision: Decision, _state: ConversationState, /) -> LaneChoice:
        return LaneChoice(Lane.MANAGED)

    def why_not(self, _turn: TurnRequest, agent: str, _decision: Decision | None, /) -> tuple[Candidate, ...]:
        return (Candidate(agent, "1.0.0", "", reason="as the test says"),)


@asynccontextmanager
async def mesh_of(
    *agents: ScriptedAgent,
    decider: ScriptedDecider,
    extra: dict[str, str] | None = None,
    settings: OrchestratorSettings | None = None,
    judge: Judge | None = None,
) -> AsyncIterator[AgentClient]:
    """A client of an orchestrator in front of these agents; `extra` maps routes to other addresses."""
    async with AsyncExitStack() as stack:
        addresses = {agent.card().key.route: await stack.enter_async_context(serve_scripted(agent)) for agent in agents}
        view = LiveView()
        view.apply(whole_registry(*(instance_of(agent, addresses[agent.card().key.route]) for agent in agents)))
        caller = await stack.enter_async_context(direct_caller({**addresses, **(extra or {})}))
        log = MemoryTurnLog()
        orchestrator = Orchestrator(decider, view, log, caller, settings, judge=judge)
        endings = await stack.enter_async_context(asyncio.TaskGroup())
        executor = TurnExecutor(orchestrator, log, endings)
        sessions = await stack.enter_async_context(LiveSessions(executor))
        server = await stack.enter_async_context(
            serve(
                "127.0.0.1:0",
                register=lambda server: add_agent_service(server, executor, sessions, orchestrator.card),
                services=[AGENT_SERVICE],
            )
        )
        yield AgentClient(await stack.enter_async_context(open_channel(server.address)))


async def ask(client: AgentClient, timeout: timedelta = 5 * SECOND) -> list[AgentEvent]:
    turn = TurnRequest(Message.from_user("hi"), conversation_id="c", turn_id="t")
    events = [event async for event in client.invoke(turn, timeout=timeout)]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    return events


def text_of(events: list[AgentEvent], agent: str) -> str:
    return "".join(
        event.body.text for event in events if isinstance(event.body, TextDelta) and event.source.agent == agent
    )


def done(events: list[AgentEvent]) -> TurnDone:
    body = events[-1].body
    assert isinstance(body, TurnDone)
    return body


def says(*words: str, gate: asyncio.Event | None = None) -> Callable[[TurnRequest, Emit], object]:
    async def script(_: TurnRequest, emit: Emit) -> None:
        if gate:
            await gate.wait()
        for word in words:
            await emit(TextDelta(word))

    return script


async def never_ends(_: TurnRequest, __: Emit) -> None:
    await asyncio.Event().wait()


async def breaks(_: TurnRequest, __: Emit) -> None:
    raise ZeroDivisionError


def agent(name: str, script: object = None) -> ScriptedAgent:
    return ScriptedAgent(script or says(name), name)  # type: ignore[arg-type] # scripts differ in how they are made
