"""lmos-grpc: what an agent's author and a caller of the mesh import.

The names are loaded when they are first used, so that the parts of the mesh can be imported without the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmos_grpc.domain.event import (
        AgentEvent,
        Clarification,
        EventBody,
        Failure,
        Handover,
        MessageDone,
        Outcome,
        Status,
        TextDelta,
        ToolCall,
        ToolCallState,
        TurnDone,
        Usage,
    )
    from lmos_grpc.domain.live_session import (
        CallerInput,
        CancelRequest,
        Custom,
        KeysPressed,
        PlaybackReport,
        PlaybackState,
        SessionUpdate,
        Signal,
        SignalKind,
        ToolResult,
        TransferResult,
        UserText,
    )
    from lmos_grpc.domain.turn import ClarificationAnswer, Lane, Message, Strategy, StrategyKind, User
    from lmos_grpc.errors import LmosError
    from lmos_grpc.sdk import Agent, AgentSettings, MeshClient, ModelSettings, Turn, capability, serve_agent

__all__ = [
    "Agent",
    "AgentEvent",
    "AgentSettings",
    "CallerInput",
    "CancelRequest",
    "Clarification",
    "ClarificationAnswer",
    "Custom",
    "EventBody",
    "Failure",
    "Handover",
    "KeysPressed",
    "Lane",
    "LmosError",
    "MeshClient",
    "Message",
    "MessageDone",
    "ModelSettings",
    "Outcome",
    "PlaybackReport",
    "PlaybackState",
    "SessionUpdate",
    "Signal",
    "SignalKind",
    "Status",
    "Strategy",
    "StrategyKind",
    "TextDelta",
    "ToolCall",
    "ToolCallState",
    "ToolResult",
    "TransferResult",
    "Turn",
    "TurnDone",
    "Usage",
    "User",
    "UserText",
    "capability",
    "serve_agent",
]

_ROOMS = (
    "lmos_grpc.sdk",
    "lmos_grpc.domain.event",
    "lmos_grpc.domain.live_session",
    "lmos_grpc.domain.turn",
    "lmos_grpc.errors",
)


def __getattr__(name: str) -> object:
    if name in __all__:
        for room in map(import_module, _ROOMS):
            if hasattr(room, name):
                return getattr(room, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
