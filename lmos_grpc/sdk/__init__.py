"""What the author of an agent and a caller of the mesh use."""

from lmos_grpc.sdk.agent import Agent
from lmos_grpc.sdk.mesh_client import MeshClient
from lmos_grpc.sdk.offer import capability
from lmos_grpc.sdk.serving import ServedAgent, run_agents, serve_agent
from lmos_grpc.sdk.settings import AgentSettings, ModelSettings
from lmos_grpc.sdk.turn import Turn

__all__ = [
    "Agent",
    "AgentSettings",
    "MeshClient",
    "ModelSettings",
    "ServedAgent",
    "Turn",
    "capability",
    "run_agents",
    "serve_agent",
]
