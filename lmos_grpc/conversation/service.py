"""The handlers of lmos.conversation.v1.ConversationService."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from lmos.conversation.v1 import conversation_service_pb2 as pb
from lmos.conversation.v1.conversation_service_pb2_grpc import (
    ConversationServiceServicer,
    add_ConversationServiceServicer_to_server,
)

from lmos_grpc.conversation.clock import utc_now
from lmos_grpc.conversation.request_rules import page_size_of, require_id, require_recordable, require_sequence
from lmos_grpc.conversation.wire import conversation_to_wire, record_from_wire, record_to_wire, state_to_wire
from lmos_grpc.domain.conversation import TurnKey
from lmos_grpc.rpc import context_from_metadata

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime

    import grpc.aio

    from lmos_grpc.conversation.turn_log import TurnLog
    from lmos_grpc.domain.turn import CallContext
    from lmos_grpc.rpc.typing import Context

CONVERSATION_SERVICE = pb.DESCRIPTOR.services_by_name["ConversationService"].full_name


class _Handlers(ConversationServiceServicer):
    """Reads from the log and writes to it, for the tenant of the call."""

    def __init__(self, log: TurnLog, now: Callable[[], datetime]) -> None:
        self._log = log
        self._now = now

    async def GetConversation(self, request: pb.GetConversationRequest, context: Context) -> pb.GetConversationResponse:
        require_id("conversation_id", request.conversation_id)
        found = await self._log.get_conversation(_caller(context).tenant, request.conversation_id)
        return pb.GetConversationResponse(conversation=conversation_to_wire(found))

    async def ListTurns(self, request: pb.ListTurnsRequest, context: Context) -> pb.ListTurnsResponse:
        require_id("conversation_id", request.conversation_id)
        size = page_size_of(request.page_size)
        tenant = _caller(context).tenant
        page = await self._log.list_turns(tenant, request.conversation_id, size, request.page_token)
        return pb.ListTurnsResponse(
            turns=[record_to_wire(each) for each in page.turns], next_page_token=page.next_page_token
        )

    async def ResumeTurn(self, request: pb.ResumeTurnRequest, context: Context) -> AsyncIterator[pb.ResumeTurnResponse]:
        require_id("conversation_id", request.conversation_id)
        require_id("turn_id", request.turn_id)
        require_sequence("after_sequence", request.after_sequence)
        key = TurnKey(_caller(context).tenant, request.conversation_id, request.turn_id)
        async with aclosing(self._log.follow(key, request.after_sequence)) as events:
            async for event in events:
                yield pb.ResumeTurnResponse.FromString(event)

    async def RecordTurn(self, request: pb.RecordTurnRequest, context: Context) -> pb.RecordTurnResponse:
        caller = _caller(context)
        record = record_from_wire(request.turn, caller.tenant, request.conversation_id, self._now())
        require_recordable(record)
        await self._log.record_turn(record, caller.channel)
        return pb.RecordTurnResponse()

    async def GetRoutingState(self, request: pb.GetRoutingStateRequest, context: Context) -> pb.GetRoutingStateResponse:
        require_id("conversation_id", request.conversation_id)
        require_id("turn_id", request.turn_id)
        key = TurnKey(_caller(context).tenant, request.conversation_id, request.turn_id)
        return state_to_wire(await self._log.state_before(key))


def _caller(context: Context) -> CallContext:
    return context_from_metadata(context.invocation_metadata())


def add_conversation_service(server: grpc.aio.Server, log: TurnLog, *, now: Callable[[], datetime] = utc_now) -> None:
    """Adds ConversationService to a server; `now` dates recorded turns that say no time."""
    add_ConversationServiceServicer_to_server(_Handlers(log, now), server)
