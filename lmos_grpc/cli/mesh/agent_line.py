"""The orchestrator's line to agents, which leads through an Envoy that starts later than the orchestrator."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from lmos_grpc.clients.agent_client import AgentClient
from lmos_grpc.errors import MeshStartingError
from lmos_grpc.rpc import open_channel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import timedelta

    from opentelemetry.trace import Tracer

    from lmos_grpc.clients.agent_session import AgentSession
    from lmos_grpc.domain.live_session import SessionStart
    from lmos_grpc.domain.turn import CallContext, TurnRequest
    from lmos_grpc.rpc import Inflow


class AgentLine:
    """Calls agents through Envoy's internal listener once `connected` has said where that is."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._client: AgentClient | None = None

    @asynccontextmanager
    async def connected(self, internal: str) -> AsyncIterator[None]:
        """Holds the line open while the block runs."""
        async with open_channel(internal) as channel:
            self._client = AgentClient(channel, tracer=self._tracer, address=internal)
            try:
                yield
            finally:
                self._client = None

    def receive(
        self,
        turn: TurnRequest,
        on_message: Callable[[bytes], None],
        *,
        route: str = "",
        timeout: timedelta | None = None,
    ) -> Inflow:
        """As `AgentClient.receive`.

        Raises:
            MeshStartingError: there is no line yet.
        """
        return self._connected().receive(turn, on_message, route=route, timeout=timeout)

    def converse(self, start: SessionStart, context: CallContext, *, route: str) -> AgentSession:
        """As `AgentClient.converse`.

        Raises:
            MeshStartingError: there is no line yet.
        """
        return self._connected().converse(start, context, route=route)

    def _connected(self) -> AgentClient:
        if self._client is None:
            raise MeshStartingError("the mesh is starting: Envoy is not ready yet; try again in a second")
        return self._client
