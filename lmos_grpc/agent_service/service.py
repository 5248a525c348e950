"""The handlers of lmos.agent.v1.AgentService."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos.agent.v1 import agent_service_pb2 as pb
from lmos.agent.v1.agent_service_pb2_grpc import AgentServiceServicer, add_AgentServiceServicer_to_server

from lmos_grpc.agent_service.live_session import LiveSession
from lmos_grpc.agent_service.wire import input_from_wire, session_event_to_wire
from lmos_grpc.rpc import context_from_metadata, time_left, write
from lmos_grpc.rpc.deadline import MAX_TURN_TIME
from lmos_grpc.rpc.metadata import with_capability_from
from lmos_grpc.wire.card import card_to_wire
from lmos_grpc.wire.event import event_to_wire
from lmos_grpc.wire.turn import turn_from_wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import timedelta

    import grpc.aio

    from lmos_grpc.agent_service.session_input import SessionAnswer, SessionInput
    from lmos_grpc.agent_service.turn_execution import TurnExecutor
    from lmos_grpc.domain.card import AgentCard
    from lmos_grpc.domain.event import AgentEvent
    from lmos_grpc.rpc.typing import Context

AGENT_SERVICE = pb.DESCRIPTOR.services_by_name["AgentService"].full_name


class _Handlers(AgentServiceServicer):
    """Reads requests, runs turns, writes events."""

    def __init__(self, executor: TurnExecutor, card: Callable[[], AgentCard], max_turn_time: timedelta) -> None:
        self._executor = executor
        self._card = card
        self._max_turn_time = max_turn_time

    async def GetAgentCard(self, request: pb.GetAgentCardRequest, context: Context) -> pb.GetAgentCardResponse:
        return pb.GetAgentCardResponse(card=card_to_wire(self._card()))

    # grpc.aio also takes a coroutine that writes; unlike a generator it may hold a timeout while it does.
    async def Invoke(self, request: pb.InvokeRequest, context: Context) -> None:  # type: ignore[override]
        async def send(event: AgentEvent) -> None:
            await write(context, pb.InvokeResponse(event=event_to_wire(event)))

        metadata = context.invocation_metadata()
        turn = with_capability_from(metadata, turn_from_wire(request, context_from_metadata(metadata)))
        await self._executor.run(turn, time_left(context, limit=self._max_turn_time), send)

    async def Converse(  # type: ignore[override]
        self, requests: AsyncIterator[pb.ConverseRequest], context: Context
    ) -> None:
        async def send(sequence: int, turn_id: str, event: AgentEvent | SessionAnswer) -> None:
            await write(context, session_event_to_wire(sequence, turn_id, event))

        said = context_from_metadata(context.invocation_metadata())
        await LiveSession(self._executor, said, self._max_turn_time, send).run(_inputs(requests))


async def _inputs(requests: AsyncIterator[pb.ConverseRequest]) -> AsyncIterator[SessionInput]:
    async for request in requests:
        each = input_from_wire(request)
        if each is not None:
            yield each


def add_agent_service(
    server: grpc.aio.Server,
    executor: TurnExecutor,
    card: Callable[[], AgentCard],
    *,
    max_turn_time: timedelta = MAX_TURN_TIME,
) -> None:
    """Adds AgentService to a server. A caller without a deadline gets `max_turn_time`, and nobody gets more."""
    add_AgentServiceServicer_to_server(_Handlers(executor, card, max_turn_time), server)
