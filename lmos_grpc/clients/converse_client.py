"""The client of a live session: inputs go in one by one, events come out, until one side ends it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from lmos.agent.v1.agent_service_pb2_grpc import AgentServiceStub

from lmos_grpc.errors import AgentProtocolViolationError, UnreachableError
from lmos_grpc.rpc import calling, context_to_metadata
from lmos_grpc.wire.event import event_from_wire
from lmos_grpc.wire.live_session import session_input_to_wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import grpc.aio
    from lmos.agent.v1 import agent_service_pb2 as pb
    from lmos.agent.v1.agent_service_pb2_grpc import AgentServiceAsyncStub

    from lmos_grpc.domain.event import AgentEvent
    from lmos_grpc.domain.live_session import SessionInput, SessionStart
    from lmos_grpc.domain.turn import CallContext

_OUTBOX = 256
START_NUMBER = 1


class ConverseSession:
    """One live session, from the side of its caller."""

    def __init__(self, stub: AgentServiceAsyncStub, start: SessionStart, context: CallContext) -> None:
        self._inputs: asyncio.Queue[tuple[int, SessionInput] | None] = asyncio.Queue(_OUTBOX)
        metadata = context_to_metadata(context, conversation_id=start.conversation_id)
        self._call = stub.Converse(self._requests(), metadata=metadata)
        self.send(start, START_NUMBER)

    def send(self, given: SessionInput, number: int) -> None:
        """Gives an input to the mesh, in the order of the calls. It never waits, for a voice cannot.

        Numbers ascend, over all streams of a session; an input whose number was there before is not taken again.

        Raises:
            UnreachableError: the mesh has not taken the inputs before it.
        """
        self._offer((number, given))

    def half_close(self) -> None:
        """Says that no more input comes; the events of what runs still do.

        Raises:
            UnreachableError: the mesh has not taken the inputs before it.
        """
        self._offer(None)

    async def events(self) -> AsyncIterator[AgentEvent]:
        """The events of the session, until it is over.

        Raises:
            LmosError: the session was refused, or its stream broke.
        """
        with calling():
            async for response in self._call:
                if response is None:
                    # grpc.aio gives None for bytes that are no message of the type, and goes on.
                    raise AgentProtocolViolationError("the mesh sent bytes that are no message of the contract")
                yield event_from_wire(response.event)

    def cancel(self) -> None:
        """Leaves the session without a word, as a caller does whose line went dead."""
        self._call.cancel()

    def _offer(self, given: tuple[int, SessionInput] | None) -> None:
        try:
            self._inputs.put_nowait(given)
        except asyncio.QueueFull:
            raise UnreachableError("the mesh does not take the input of a live session any more") from None

    async def _requests(self) -> AsyncIterator[pb.ConverseRequest]:
        while (numbered := await self._inputs.get()) is not None:
            number, given = numbered
            yield session_input_to_wire(given, number)


class ConverseClient:
    """Opens live sessions over a channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        # The generated stub serves both kinds of channel; its type knows only one at a time.
        self._stub: AgentServiceAsyncStub = AgentServiceStub(channel)  # type: ignore[assignment]

    @asynccontextmanager
    async def session(self, start: SessionStart, context: CallContext) -> AsyncIterator[ConverseSession]:
        """Opens a session, and leaves it at the end of the block if it is still open then."""
        session = ConverseSession(self._stub, start, context)
        try:
            yield session
        finally:
            session.cancel()
