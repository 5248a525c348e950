"""A live session of the mesh with an agent that listens: its turns, and what the caller does between them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from lmos_grpc.domain.event import Failure
from lmos_grpc.domain.live_session import CancelCause, CancelRequest, EndReason, Ping, SessionEnd, SessionReady
from lmos_grpc.domain.turn import TurnRequest
from lmos_grpc.errors import AgentProtocolViolationError, LmosError, UnreachableError, error_from
from lmos_grpc.rpc import calling
from lmos_grpc.wire.framed_event import SaidEvent
from lmos_grpc.wire.live_session import session_input_to_wire
from lmos_grpc.wire.turn import given_turn_to_wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from lmos.agent.v1 import agent_service_pb2 as pb

    from lmos_grpc.domain.live_session import SessionInput, SessionStart
    from lmos_grpc.rpc import Inflow

_OUTBOX = 256
# After its end an agent has so long to say so.
_END_SECONDS = 1.0
# Of the time within which an agent wants to be pinged.
_PING_AFTER = 0.5


class AgentSession:
    """Has one turn at a time. `run` reads what the agent says, and has to run from the first turn on."""

    def __init__(
        self,
        open_call: Callable[[AsyncIterator[pb.ConverseRequest]], Any],  # Any: grpc.aio's calls
        start: SessionStart,
    ) -> None:
        self._outbox: asyncio.Queue[SessionInput | TurnRequest | None] = asyncio.Queue(_OUTBOX)
        self._sequence = 0
        self._turn: _TurnOfSession | None = None
        self._cancelled_turn = ""
        self._resumed: asyncio.Future[None] | None = None
        self._leaving = self._over = False
        self._pings = 0
        self._next_ping: asyncio.TimerHandle | None = None
        self.send(start)
        self._call = open_call(self._requests())

    @property
    def usable(self) -> bool:
        """Whether another turn can be had: it is open, and its agent does not leave."""
        return not (self._over or self._leaving)

    def receive(self, turn: TurnRequest, on_message: Callable[[bytes], None]) -> Inflow:
        """Gives the agent a turn, and hands its events over, numbered from 1, as an `Invoke` would."""
        self._turn = _TurnOfSession(self, turn.turn_id, on_message)
        self.send(turn)
        return self._turn

    def send(self, given: SessionInput | TurnRequest) -> None:
        """Gives the agent an input, in the order of the calls. An agent that does not take them loses the session."""
        if isinstance(given, CancelRequest):
            self._cancelled_turn = given.turn_id
        try:
            self._outbox.put_nowait(given)
        except asyncio.QueueFull:
            self._fail(UnreachableError("the agent does not take the inputs of its live session any more"))
            self._call.cancel()

    def cancel(self, turn_id: str) -> None:
        """Stops a turn, where that was not said before."""
        if self._cancelled_turn != turn_id and not self._over:
            self.send(CancelRequest(turn_id, CancelCause.USER))

    def pause(self) -> None:
        """Reads nothing more until `resume`."""
        if self._resumed is None:
            self._resumed = asyncio.get_running_loop().create_future()

    def resume(self) -> None:
        """Goes on."""
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)
        self._resumed = None

    async def run(self) -> None:
        """Reads until the session is over; what breaks it is told to the turn that runs."""
        error: LmosError = UnreachableError("the agent ended its live session")
        try:
            with calling():
                async for message in self._call:
                    self._take(message)
                    if self._resumed is not None:
                        await self._resumed
        except LmosError as failure:
            error = failure
        finally:
            self._fail(error)
            self._call.cancel()

    async def close(self, reader: asyncio.Task[None]) -> None:
        """Ends the session, and waits a moment for the agent to take note."""
        self.resume()
        if not self._over:
            self.send(SessionEnd(EndReason.DONE))
            self._over = True
            if not self._outbox.full():
                self._outbox.put_nowait(None)
        await asyncio.wait((reader,), timeout=_END_SECONDS)
        self._call.cancel()

    def _take(self, message: bytes) -> None:
        turn = self._turn
        try:
            event = SaidEvent(message)
        except AgentProtocolViolationError as error:
            self._fail(error)
            return
        if event.kind == "session_ready" and isinstance(ready := event.body(), SessionReady) and ready.keepalive:
            self._ping_every(ready.keepalive.total_seconds() * _PING_AFTER)
        elif event.kind == "go_away":
            self._leaving = True
        elif turn is not None and event.turn_id == turn.id:
            turn.take(event)

    def _ping_every(self, seconds: float) -> None:
        if self._pings:
            self.send(Ping(self._pings))
        self._pings += 1
        self._next_ping = asyncio.get_running_loop().call_later(seconds, self._ping_every, seconds)

    def _fail(self, error: LmosError) -> None:
        self._over = True
        if self._next_ping is not None:
            self._next_ping.cancel()
        if self._turn is not None:
            self._turn.end(error)

    async def _requests(self) -> AsyncIterator[pb.ConverseRequest]:
        while (given := await self._outbox.get()) is not None:
            self._sequence += 1
            if isinstance(given, TurnRequest):
                yield given_turn_to_wire(given, self._sequence)
            else:
                yield session_input_to_wire(given, self._sequence)


class _TurnOfSession:
    """An `Inflow` of the events of one turn."""

    def __init__(self, session: AgentSession, turn_id: str, on_message: Callable[[bytes], None]) -> None:
        self.id = turn_id
        self._session = session
        self._on_message = on_message
        self._count = 0
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._refusal: LmosError | None = None
        self.pause = session.pause
        self.resume = session.resume

    def take(self, event: SaidEvent) -> None:
        if self._end.done():
            return
        if not self._count and event.kind == "error" and isinstance(failure := event.body(), Failure):
            # In a session a turn is refused in band.
            self._refusal = error_from(failure.detail)
            return
        if self._refusal is not None:
            self.end(self._refusal)
            return
        self._count += 1
        last = event.kind == "turn_done"
        self._on_message(event.numbered(self._count))
        if last:
            self.end()

    def end(self, error: LmosError | None = None) -> None:
        self._session.resume()
        if self._end.done():
            return
        if error is None:
            self._end.set_result(None)
        else:
            self._end.set_exception(error)
            # Whoever is gone does not ask how it ended.
            self._end.exception()

    def cancel(self) -> None:
        if not self._end.done():
            self._session.cancel(self.id)
            self.end()

    async def ended(self) -> None:
        await asyncio.shield(self._end)
