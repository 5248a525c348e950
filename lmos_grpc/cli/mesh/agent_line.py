"""The orchestrator's line to agents, which leads through an Envoy that starts later than the orchestrator."""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

from lmos_grpc.clients.agent_client import AgentClient
from lmos_grpc.errors import MeshStartingError
from lmos_grpc.rpc import open_channel
from lmos_grpc.telemetry import client_interceptors

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from datetime import timedelta

    from opentelemetry.trace import Tracer

    from lmos_grpc.domain.event import AgentEvent
    from lmos_grpc.domain.turn import TurnRequest


class AgentLine:
    """Calls agents through Envoy's internal listener once `connected` has said where that is."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._client: AgentClient | None = None

    @asynccontextmanager
    async def connected(self, internal: str) -> AsyncIterator[None]:
        """Holds the line open while the block runs."""
        interceptors = client_interceptors(self._tracer, address=internal)
        async with open_channel(internal, interceptors=interceptors) as channel:
            self._client = AgentClient(channel)
            try:
                yield
            finally:
                self._client = None

    async def invoke(
        self, turn: TurnRequest, *, route: str = "", timeout: timedelta | None = None
    ) -> AsyncGenerator[AgentEvent, None]:
        """As `AgentClient.invoke`.

        Raises:
            LmosError: the call failed, or there is no line yet.
        """
        if self._client is None:
            raise MeshStartingError("the mesh is starting: Envoy is not ready yet; try again in a second")
        async with aclosing(self._client.invoke(turn, route=route, timeout=timeout)) as events:
            async for event in events:
                yield event
