"""How AgentService is served over anything that can run a turn: an agent's own code, or the orchestrator."""

from lmos_grpc.agent_service.audience import Audience
from lmos_grpc.agent_service.limited_runner import LimitedRunner
from lmos_grpc.agent_service.live_sessions import LiveSessions
from lmos_grpc.agent_service.metered_runner import MeteredRunner
from lmos_grpc.agent_service.service import AGENT_SERVICE, add_agent_service
from lmos_grpc.agent_service.sqlite_session_store import SqliteSessionStore
from lmos_grpc.agent_service.turn_execution import TurnExecutor
from lmos_grpc.agent_service.turn_runner import Emit, TurnRunner, TurnWork

__all__ = [
    "AGENT_SERVICE",
    "Audience",
    "Emit",
    "LimitedRunner",
    "LiveSessions",
    "MeteredRunner",
    "SqliteSessionStore",
    "TurnExecutor",
    "TurnRunner",
    "TurnWork",
    "add_agent_service",
]
