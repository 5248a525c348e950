"""The orchestrator's line to agents, which leads through an Envoy that starts later than the orchestrator."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from lmos_grpc.clients.agent_client import AgentClient
from lmos_grpc.errors import MeshStartingError
from lmos_grpc.rpc import open_channel

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from types import TracebackType

    from opentelemetry.trace import Tracer

    from lmos_grpc.clients.agent_session import AgentSession
    from lmos_grpc.domain.live_session import SessionStart
    from lmos_grpc.domain.turn import CallContext, TurnRequest
    from lmos_grpc.rpc import Inflow


class AgentLine:
    """Calls agents through Envoy's internal listener once `connect` has said where that is.

    It is open until the end of its block, around whoever runs turns: a turn that is to end while the process drains
    needs its agent.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._client: AgentClient | None = None
        self._channel = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Leads nowhere yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the line."""
        self._client = None
        await self._channel.aclose()

    async def connect(self, internal: str) -> None:
        """Says where Envoy is."""
        channel = await self._channel.enter_async_context(open_channel(internal))
        self._client = AgentClient(channel, tracer=self._tracer, address=internal)

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
