"""The client of AgentService, which agents and the orchestrator implement alike."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from lmos.agent.v1 import agent_service_pb2 as pb
from lmos.agent.v1.agent_service_pb2_grpc import AgentServiceStub

from lmos_grpc.clients.agent_session import AgentSession
from lmos_grpc.domain.event import TurnDone
from lmos_grpc.errors import AgentProtocolViolationError
from lmos_grpc.rpc import calling, context_to_metadata, receive
from lmos_grpc.rpc.metadata import decision_from_metadata
from lmos_grpc.rpc.traced_inflow import traced, traced_call
from lmos_grpc.wire.card import card_from_wire
from lmos_grpc.wire.event import event_from_wire
from lmos_grpc.wire.turn import turn_to_wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable
    from typing import TypeVar

    import grpc.aio
    from lmos.agent.v1.agent_service_pb2_grpc import AgentServiceAsyncStub
    from opentelemetry.trace import Tracer

    from lmos_grpc.domain.card import AgentCard
    from lmos_grpc.domain.decision import Decision
    from lmos_grpc.domain.event import AgentEvent
    from lmos_grpc.domain.live_session import SessionStart
    from lmos_grpc.domain.turn import CallContext, TurnRequest
    from lmos_grpc.rpc import Inflow
    from lmos_grpc.rpc.metadata import Metadata

    Response = TypeVar("Response")


_INVOKE = "/lmos.agent.v1.AgentService/Invoke"
_CONVERSE = "/lmos.agent.v1.AgentService/Converse"
# The status comes right after the last event. A call that is cancelled in between was reset, and a server counts that:
# one that was not told otherwise closes a connection with all its turns after 1,000 resets that come faster than 33 a
# second (CVE-2023-44487).
_END_LIMIT = timedelta(milliseconds=50)


class AgentClient:
    """Calls an AgentService over a channel. With a tracer `receive` has spans; all else has those of the channel."""

    def __init__(self, channel: grpc.aio.Channel, *, tracer: Tracer | None = None, address: str = "") -> None:
        # The generated stub serves both kinds of channel; its type knows only one at a time.
        self._stub: AgentServiceAsyncStub = AgentServiceStub(channel)  # type: ignore[assignment]
        self._invoke_bytes: object = channel.unary_stream(
            _INVOKE, request_serializer=pb.InvokeRequest.SerializeToString, response_deserializer=None
        )
        self._converse_bytes: Any = channel.stream_stream(  # Any: the stubs do not know calls of bytes
            _CONVERSE, request_serializer=pb.ConverseRequest.SerializeToString, response_deserializer=None
        )
        self._tracer = tracer
        self._address = address

    async def get_card(self, *, timeout: timedelta) -> AgentCard:
        """Who the agent is.

        Raises:
            LmosError: the call failed.
        """
        with calling():
            response = await self._stub.GetAgentCard(pb.GetAgentCardRequest(), timeout=timeout.total_seconds())
        return card_from_wire(_understood(response).card)

    async def invoke(
        self,
        turn: TurnRequest,
        *,
        route: str = "",
        timeout: timedelta | None = None,
        on_decision: Callable[[Decision], None] | None = None,
    ) -> AsyncGenerator[AgentEvent, None]:
        """Runs a turn and streams its events. Closing the iterator before `TurnDone` cancels the call.

        `route` names the agent's cluster on Envoy's internal listener; empty leaves the routing to the mesh.
        `on_decision` is told of a decision that came beside the events, which is where the express lane has it.

        Raises:
            LmosError: the call failed before its first event, or its stream broke.
        """
        call = self._stub.Invoke(
            turn_to_wire(turn),
            timeout=timeout.total_seconds() if timeout else None,
            metadata=context_to_metadata(turn.context, conversation_id=turn.conversation_id, route=route),
        )
        done = False
        try:
            with calling():
                if on_decision and (decision := decision_from_metadata(await call.initial_metadata())):
                    on_decision(decision)
                async for response in call:
                    event = event_from_wire(_understood(response).event)
                    done = isinstance(event.body, TurnDone)
                    yield event
        finally:
            if done:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_END_LIMIT.total_seconds()):
                        await call.code()
            call.cancel()

    def receive(
        self,
        turn: TurnRequest,
        on_message: Callable[[bytes], None],
        *,
        route: str = "",
        timeout: timedelta | None = None,
    ) -> Inflow:
        """Runs a turn and hands its events over as responses carry them, unread. `route` is as in `invoke`.

        Raises:
            InvalidRequestError: a value of the context is nothing that a header can carry.
        """
        metadata = context_to_metadata(turn.context, conversation_id=turn.conversation_id, route=route)

        def begin(more: Metadata) -> Inflow:
            return receive(
                self._invoke_bytes, turn_to_wire(turn), on_message, timeout=timeout, metadata=(*metadata, *more)
            )

        return traced(self._tracer, _INVOKE, self._address, begin) if self._tracer else begin(())

    def converse(self, start: SessionStart, context: CallContext, *, route: str) -> AgentSession:
        """Opens a live session with the agents behind a route; it goes on while its `run` does.

        Raises:
            InvalidRequestError: a value of the context is nothing that a header can carry.
        """
        metadata = context_to_metadata(context, conversation_id=start.conversation_id, route=route)

        def open_call(requests: AsyncIterator[pb.ConverseRequest]) -> Any:  # Any: grpc.aio's calls
            def begin(more: Metadata) -> Any:  # Any: grpc.aio's calls
                return self._converse_bytes(requests, metadata=(*metadata, *more))

            return traced_call(self._tracer, _CONVERSE, self._address, begin) if self._tracer else begin(())

        return AgentSession(open_call, start)


def _understood(response: Response | None) -> Response:
    # grpc.aio gives None for bytes that are no message of the type, and goes on.
    if response is None:
        raise AgentProtocolViolationError("the agent answered with bytes that are no message of the contract")
    return response
