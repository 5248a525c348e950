"""The client of ConversationService, for those who decide on turns or run them away from the log."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from lmos.conversation.v1 import conversation_service_pb2 as pb
from lmos.conversation.v1.conversation_service_pb2_grpc import ConversationServiceStub

from lmos_grpc.conversation.wire import record_to_wire, state_from_wire
from lmos_grpc.domain.turn import CallContext
from lmos_grpc.rpc import calling, context_to_metadata

if TYPE_CHECKING:
    import grpc.aio
    from lmos.conversation.v1.conversation_service_pb2_grpc import ConversationServiceAsyncStub

    from lmos_grpc.domain.conversation import ConversationState, TurnKey, TurnRecord

_CALL_TIME = timedelta(seconds=1)


class ConversationClient:
    """Reads and writes what routing has to know, over a channel to the orchestrator or the internal listener."""

    def __init__(self, channel: grpc.aio.Channel, *, timeout: timedelta = _CALL_TIME) -> None:
        # The generated stub serves both kinds of channel; its type knows only one at a time.
        self._stub: ConversationServiceAsyncStub = ConversationServiceStub(channel)  # type: ignore[assignment]
        self._seconds = timeout.total_seconds()

    async def state_before(self, key: TurnKey) -> ConversationState | None:
        """As `TurnLog.state_before`.

        Raises:
            LmosError: the call failed.
        """
        request = pb.GetRoutingStateRequest(conversation_id=key.conversation_id, turn_id=key.turn_id)
        metadata = context_to_metadata(CallContext(key.tenant))
        with calling():
            response = await self._stub.GetRoutingState(request, timeout=self._seconds, metadata=metadata)
        return state_from_wire(response)

    async def record_turn(self, record: TurnRecord, channel: str) -> None:
        """As `TurnLog.record_turn`.

        Raises:
            LmosError: the call failed, or the turn id came before with another message.
        """
        key = record.key
        request = pb.RecordTurnRequest(conversation_id=key.conversation_id, turn=record_to_wire(record))
        metadata = context_to_metadata(CallContext(key.tenant, channel))
        with calling():
            await self._stub.RecordTurn(request, timeout=self._seconds, metadata=metadata)
