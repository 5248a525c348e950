"""Runs a managed turn: decides, calls the agents, merges their streams, hands over, and ends honestly."""

from lmos_grpc.orchestrator.judge import Judge, JudgedAnswer, ScoreJudge
from lmos_grpc.orchestrator.model_judge import ModelJudge, open_model_judge
from lmos_grpc.orchestrator.orchestrator import Orchestrator, OrchestratorSettings
from lmos_grpc.orchestrator.service import ORCHESTRATOR_SERVICE, add_orchestrator_service

__all__ = [
    "ORCHESTRATOR_SERVICE",
    "Judge",
    "JudgedAnswer",
    "ModelJudge",
    "Orchestrator",
    "OrchestratorSettings",
    "ScoreJudge",
    "add_orchestrator_service",
    "open_model_judge",
]
