"""Runs a managed turn: decides, calls the agents, merges their streams, hands over, and ends honestly."""

from lmos_grpc.orchestrator.orchestrator import Orchestrator, OrchestratorSettings
from lmos_grpc.orchestrator.service import ORCHESTRATOR_SERVICE, add_orchestrator_service

__all__ = ["ORCHESTRATOR_SERVICE", "Orchestrator", "OrchestratorSettings", "add_orchestrator_service"]
