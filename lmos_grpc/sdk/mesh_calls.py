"""Calls of an agent to other agents, through the mesh."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from lmos_grpc.domain.event import Clarification, Status, ToolCall, Unread
from lmos_grpc.sdk.event_stream import Answer, unbroken

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from datetime import timedelta

    from lmos_grpc.clients.agent_client import AgentClient
    from lmos_grpc.domain.event import EventBody, Usage
    from lmos_grpc.domain.turn import TurnRequest


class MeshCalls:
    """Asks other agents over a channel to the mesh, which routes."""

    def __init__(self, client: AgentClient) -> None:
        self._client = client

    async def call(
        self, turn: TurnRequest, *, timeout: timedelta, spent: Callable[[Usage], None]
    ) -> AsyncGenerator[str | EventBody, None]:
        """Yields text as it comes, and the events that the caller may pass on to its own caller.

        Raises:
            LmosError: the call failed, or its turn did.
        """
        answer = Answer()
        async with aclosing(unbroken(self._client.invoke(turn, timeout=timeout))) as events:
            async for event in events:
                if text := answer.take(event):
                    yield text
                elif isinstance(event.body, Status | ToolCall | Clarification | Unread):
                    yield event.body
        if answer.usage:
            spent(answer.usage)
        answer.raise_if_failed()
