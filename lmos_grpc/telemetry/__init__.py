"""Traces, metrics and logs: how they are set up, and what they call things."""

from lmos_grpc.telemetry.call_metrics import CallMetrics
from lmos_grpc.telemetry.client_tracing import client_interceptors
from lmos_grpc.telemetry.genai import AgentTurn, ModelCall, agent_turn, model_call
from lmos_grpc.telemetry.logs import configure_logging
from lmos_grpc.telemetry.metrics import Metrics
from lmos_grpc.telemetry.metrics_server import serve_metrics
from lmos_grpc.telemetry.server_tracing import ServerTracingInterceptor
from lmos_grpc.telemetry.tracing import Tracing, start_tracing
from lmos_grpc.telemetry.within_span import within_span

__all__ = [
    "AgentTurn",
    "CallMetrics",
    "Metrics",
    "ModelCall",
    "ServerTracingInterceptor",
    "Tracing",
    "agent_turn",
    "client_interceptors",
    "configure_logging",
    "model_call",
    "serve_metrics",
    "start_tracing",
    "within_span",
]
