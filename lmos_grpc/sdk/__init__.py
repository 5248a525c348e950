"""What the author of an agent and a caller of the mesh use."""

from lmos_grpc.sdk.agent import Agent
from lmos_grpc.sdk.offer import capability
from lmos_grpc.sdk.settings import AgentSettings, ModelSettings
from lmos_grpc.sdk.turn import Turn

__all__ = ["Agent", "AgentSettings", "ModelSettings", "Turn", "capability"]
