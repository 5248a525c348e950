"""The events of one live session: numbered through all of its turns, and kept to be given again."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmos_grpc.domain.event import AgentEvent, Status
from lmos_grpc.domain.sensitive import WITHHELD
from lmos_grpc.wire.framed_event import SaidEvent, frame_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lmos_grpc.rpc import Outlet

# What was given to a caller is kept for one whose stream breaks, as far as this goes.
_KEPT = 1_024
_KEPT_BYTES = 512 * 1024
# So much may wait while there is no caller; then the agents have to.
_MOST_UNREAD = 256
_MOST_UNREAD_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """An event, and what may be written to a disk in its place."""

    frame: bytes
    to_keep: bytes


class SessionEvents:
    """Gives events to the stream that is attached, and those that nobody has seen to the one that comes next."""

    def __init__(self, first: int = 1, frames: Iterable[bytes] = ()) -> None:
        self._kept = deque(KeptEvent(frame, frame) for frame in frames)
        self._first = first
        self._bytes = sum(len(each.frame) for each in self._kept)
        self._given = self.last
        self._unread_bytes = 0
        self._outlet: Outlet | None = None
        self._changed = asyncio.Event()

    @property
    def first(self) -> int:
        """The number of the oldest event that is kept."""
        return self._first

    @property
    def last(self) -> int:
        """The number of the newest event."""
        return self._first + len(self._kept) - 1

    @property
    def full(self) -> bool:
        """Whether the caller is slow, or away for too long."""
        if self._outlet is not None:
            return self._outlet.full
        return self.last - self._given >= _MOST_UNREAD or self._unread_bytes >= _MOST_UNREAD_BYTES

    async def room(self) -> None:
        """Returns once it is not full."""
        while self.full:
            changed = self._changed
            if self._outlet is not None:
                await self._outlet.room()
            if self.full:
                await changed.wait()

    def put(self, event: SaidEvent, *, secret: bool = False) -> None:
        """Numbers an event, and gives it away. What is secret is not written to a disk."""
        number = self.last + 1
        frame = event.numbered(number)
        to_keep = frame_of(AgentEvent(number, event.turn_id, Status(WITHHELD))) if secret else frame
        self._kept.append(KeptEvent(frame, to_keep))
        self._bytes += len(frame)
        if self._outlet is None:
            self._unread_bytes += len(frame)
        else:
            self._outlet.put(frame)
            self._given = number
        self._forget_old()

    def can_continue(self, after: int) -> bool:
        """Whether all events after a number are here."""
        return self._first - 1 <= after <= self.last

    def attach(self, outlet: Outlet, after: int) -> None:
        """Gives the events after a number, and those to come, to a stream."""
        for each in list(self._kept)[max(0, after + 1 - self._first) :]:
            outlet.put(each.frame)
        self._given, self._unread_bytes = self.last, 0
        self._outlet = outlet
        self._change()

    def detach(self) -> None:
        """There is no stream any more."""
        self._outlet = None
        self._change()

    def aside(self, event: AgentEvent) -> None:
        """Gives an event to the stream that is about the stream itself, and so has no number."""
        if self._outlet is not None:
            self._outlet.put(frame_of(event))

    def frames_to_keep(self) -> tuple[bytes, ...]:
        """What may be written to a disk of the events, in their order."""
        return tuple(each.to_keep for each in self._kept)

    def _forget_old(self) -> None:
        while (len(self._kept) > _KEPT or self._bytes > _KEPT_BYTES) and self._first <= self._given:
            self._bytes -= len(self._kept.popleft().frame)
            self._first += 1

    def _change(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class TurnOutlet:
    """The outlet of one turn of a session. Nothing comes out of it once it is closed."""

    def __init__(self, events: SessionEvents, watch: Callable[[SaidEvent], None], *, secret: bool) -> None:
        self._events = events
        self._watch = watch
        self._secret = secret
        self._closed = False

    @property
    def full(self) -> bool:
        """Whether the caller is slow."""
        return not self._closed and self._events.full

    def put(self, message: bytes, /) -> None:
        """Sends an event of the turn."""
        if not self._closed:
            event = SaidEvent(message)
            self._watch(event)
            self._events.put(event, secret=self._secret)

    async def room(self) -> None:
        """Returns once it is not full."""
        if not self._closed:
            await self._events.room()

    async def flushed(self) -> None:
        """Returns at once: it is the stream that is flushed."""

    def close(self) -> None:
        """Lets nothing more of the turn through."""
        self._closed = True
