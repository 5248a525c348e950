"""The orchestrator as a part of a mesh, with the router and the log of conversations behind it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmos_grpc.agent_service import (
    AGENT_SERVICE,
    LimitedRunner,
    LiveSessions,
    MeteredRunner,
    SqliteSessionStore,
    TurnExecutor,
    add_agent_service,
)
from lmos_grpc.cli.mesh.agent_line import AgentLine
from lmos_grpc.cli.mesh.classifier_part import open_consultant, run_classifier
from lmos_grpc.conversation import CONVERSATION_SERVICE, add_conversation_service, open_turn_log
from lmos_grpc.discovery import DISCOVERY_SERVICE
from lmos_grpc.orchestrator import (
    ORCHESTRATOR_SERVICE,
    Orchestrator,
    OrchestratorSettings,
    ScoreJudge,
    add_orchestrator_service,
    open_model_judge,
)
from lmos_grpc.routing import Router
from lmos_grpc.rpc import serve
from lmos_grpc.sdk.settings import ModelSettings
from lmos_grpc.telemetry import ServerTracingInterceptor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import grpc.aio

    from lmos_grpc.cli.mesh.telemetry_part import TelemetryPart
    from lmos_grpc.cli.mesh.turn_settings import TurnSettings
    from lmos_grpc.cli.settings import ModelSection
    from lmos_grpc.clients.live_view import LiveView
    from lmos_grpc.conversation import TurnLog
    from lmos_grpc.orchestrator import Judge
    from lmos_grpc.routing import RoutingSettings
    from lmos_grpc.rpc import RunningServer

TURNS = "turns.sqlite"
SESSIONS = "sessions.sqlite"
# What callers find at the edge. This server answers reflection and health for all of it.
PUBLIC_SERVICES = (AGENT_SERVICE, ORCHESTRATOR_SERVICE, CONVERSATION_SERVICE, DISCOVERY_SERVICE)


@dataclass(frozen=True, slots=True)
class RunningOrchestrator:
    """An orchestrator that answers; it can call agents once its line is connected. Its router and log can be shared."""

    server: RunningServer
    line: AgentLine
    router: Router
    log: TurnLog


@asynccontextmanager
async def run_orchestrator(
    state: Path,
    address: str,
    view: LiveView,
    telemetry: TelemetryPart,
    routing: RoutingSettings,
    *,
    turns: TurnSettings,
) -> AsyncIterator[RunningOrchestrator]:
    """Serves AgentService, OrchestratorService and ConversationService at `address`."""
    async with (
        telemetry.tracing("lmos-orchestrator") as tracing,
        open_turn_log(state / TURNS) as log,
        _judge(turns.judge) as judge,
        asyncio.TaskGroup() as endings,
        run_classifier(routing.classifier, telemetry.metrics) as classifier,
        open_consultant(routing.opinion) as consultant,
        AgentLine(tracing.tracer) as line,
    ):
        with closing(Router(view, classifier, routing, consultant=consultant)) as router:
            presented = OrchestratorSettings(most_held_bytes=turns.most_held_bytes)
            orchestrator = Orchestrator(router, view, log, line, presented, judge=judge)
            runner = MeteredRunner(LimitedRunner(orchestrator, turns.max_turns), telemetry.metrics)
            executor = TurnExecutor(
                runner, log, endings, durability=lambda turn: turns.durability_of(router.durable(turn))
            )
            store = SqliteSessionStore(state / SESSIONS)
            async with (
                orchestrator.listeners as listeners,
                LiveSessions(executor, store=store, audience=listeners) as sessions,
                serve(
                    address,
                    register=lambda server: _add_services(server, orchestrator, log, executor, sessions),
                    services=PUBLIC_SERVICES,
                    interceptors=[ServerTracingInterceptor(tracing.tracer)],
                ) as server,
                sessions.leaving(server),
            ):
                yield RunningOrchestrator(server, line, router, log)


@asynccontextmanager
async def _judge(model: ModelSection | None) -> AsyncIterator[Judge]:
    if model is None:
        yield ScoreJudge()
        return
    base_url = model.base_url or ModelSettings(model.name).base_url
    async with open_model_judge(model=model.name, base_url=base_url, api_key=model.api_key) as judge:
        yield judge


def _add_services(
    server: grpc.aio.Server,
    orchestrator: Orchestrator,
    log: TurnLog,
    executor: TurnExecutor,
    sessions: LiveSessions,
) -> None:
    add_agent_service(server, executor, sessions, orchestrator.card)
    add_orchestrator_service(server, orchestrator)
    add_conversation_service(server, log)
