"""The way of a turn's events to the log and then to the caller: all that wait go together, and in order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from lmos_grpc.domain.event import Failure, Outcome, Source, TurnDone

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from lmos_grpc.agent_service.event_stream import EventStream
    from lmos_grpc.conversation import TurnLog
    from lmos_grpc.domain.conversation import TurnKey
    from lmos_grpc.domain.event import AgentEvent, EventBody
    from lmos_grpc.errors import LmosError

# So many events may wait; then the work waits, and with it the agent. One commit of the log takes them all.
_MOST_WAITING = 64
_SELF = Source()


class Send(Protocol):
    """Gives one event to the caller."""

    def __call__(self, event: AgentEvent, /) -> Awaitable[None]:
        """Returns when the caller's flow control took it."""


class EventWriter:
    """An `Emit` that numbers events at once; `write`, in a task of its own, logs them and then gives them away.

    The work may be cancelled at any moment without harm to what it has emitted: nothing that is numbered is lost, as
    long as `write` runs.
    """

    def __init__(self, key: TurnKey, stream: EventStream, log: TurnLog, send: Send) -> None:
        self._key = key
        self._log = log
        self._send = send
        self._room = asyncio.Semaphore(_MOST_WAITING)
        self._some = asyncio.Event()
        self._last: AgentEvent | None = None
        self.stream = stream
        self.unwritten: list[AgentEvent] = []

    async def __call__(self, body: EventBody, source: Source = _SELF, /) -> None:
        """Takes an event on; what comes after the end is dropped."""
        await self._room.acquire()
        event = self.stream.draft(body, source)
        if event is None:
            self._room.release()
            return
        self.stream.commit(event)
        self.unwritten.append(event)
        self._some.set()

    async def fail(self, error: LmosError) -> None:
        """Ends the turn as failed."""
        await self(Failure(error.detail))
        await self(TurnDone(Outcome.FAILED))

    async def write(self) -> None:
        """Writes until the last event is in the log; that one is given away by `send_last`.

        Raises:
            LmosError: the log cannot be reached.
        """
        while self._last is None:
            await self._some.wait()
            self._some.clear()
            batch = tuple(self.unwritten)
            await self._log.append(self._key, *batch)
            del self.unwritten[: len(batch)]
            for event in batch:
                if isinstance(event.body, TurnDone):
                    self._last = event
                else:
                    await self._send(event)
                self._room.release()

    async def send_last(self) -> None:
        """Gives the last event to the caller."""
        if self._last is not None:
            await self._send(self._last)
