"""The handlers of lmos.agent.v1.AgentService."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import grpc.aio
from lmos.agent.v1 import agent_service_pb2 as pb

from lmos_grpc.agent_service.live_sessions import NumberedInput
from lmos_grpc.rpc import context_from_metadata, outlet, time_left
from lmos_grpc.rpc.deadline import MAX_TURN_TIME
from lmos_grpc.rpc.metadata import with_capability_from
from lmos_grpc.wire.card import card_to_wire
from lmos_grpc.wire.session_input import session_input_from_wire
from lmos_grpc.wire.turn import turn_from_wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import timedelta

    from lmos_grpc.agent_service.live_sessions import LiveSessions
    from lmos_grpc.agent_service.turn_execution import TurnExecutor
    from lmos_grpc.domain.card import AgentCard
    from lmos_grpc.domain.turn import CallContext
    from lmos_grpc.rpc.typing import Context, Handler

AGENT_SERVICE = pb.DESCRIPTOR.services_by_name["AgentService"].full_name


class _Handlers:
    """Reads requests, runs turns, writes events."""

    def __init__(
        self, executor: TurnExecutor, sessions: LiveSessions, card: Callable[[], AgentCard], max_turn_time: timedelta
    ) -> None:
        self._executor = executor
        self._sessions = sessions
        self._card = card
        self._max_turn_time = max_turn_time

    async def GetAgentCard(self, request: pb.GetAgentCardRequest, context: Context) -> pb.GetAgentCardResponse:
        return pb.GetAgentCardResponse(card=card_to_wire(self._card()))

    async def Invoke(self, request: pb.InvokeRequest, context: Context) -> None:
        metadata = context.invocation_metadata()
        turn = with_capability_from(metadata, turn_from_wire(request, context_from_metadata(metadata)))
        async with outlet(context) as out:
            await self._executor.run(turn, time_left(context, limit=self._max_turn_time), out)

    async def Converse(self, requests: AsyncIterator[pb.ConverseRequest], context: Context) -> None:
        said = context_from_metadata(context.invocation_metadata())
        async with outlet(context) as out:
            await self._sessions.serve(_inputs(requests, said), said, out)


async def _inputs(requests: AsyncIterator[pb.ConverseRequest], context: CallContext) -> AsyncIterator[NumberedInput]:
    async for request in requests:
        in_full = request.WhichOneof("input") == "turn"
        given = turn_from_wire(request.turn, context) if in_full else session_input_from_wire(request)
        yield NumberedInput(request.sequence, given)


def add_agent_service(
    server: grpc.aio.Server,
    executor: TurnExecutor,
    sessions: LiveSessions,
    card: Callable[[], AgentCard],
    *,
    max_turn_time: timedelta = MAX_TURN_TIME,
) -> None:
    """Adds AgentService to a server. A caller without a deadline gets `max_turn_time`, and nobody gets more."""
    handlers = _Handlers(executor, sessions, card, max_turn_time)
    # By hand, because the events of a turn are bytes already, and so have no serializer.
    methods: dict[str, Handler] = {
        "GetAgentCard": grpc.unary_unary_rpc_method_handler(
            handlers.GetAgentCard, pb.GetAgentCardRequest.FromString, pb.GetAgentCardResponse.SerializeToString
        ),
        "Invoke": grpc.unary_stream_rpc_method_handler(handlers.Invoke, pb.InvokeRequest.FromString, None),
        "Converse": grpc.stream_stream_rpc_method_handler(handlers.Converse, pb.ConverseRequest.FromString, None),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(AGENT_SERVICE, methods),))
