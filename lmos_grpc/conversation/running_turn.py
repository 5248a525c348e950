"""A turn that runs in this process: its newest events, and how those who follow it are woken."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lmos_grpc.domain.conversation import Durability
from lmos_grpc.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
    from datetime import datetime

    from lmos_grpc.domain.conversation import ConversationState, TurnKey
    from lmos_grpc.domain.event import Outcome
    from lmos_grpc.domain.turn import Message, TurnRequest
    from lmos_grpc.errors import LmosError

# A follower that is further behind than what is kept for it reads from the store.
_TAIL = 64


class ReadEvents(Protocol):
    """Reads events of a turn from where they are kept."""

    def __call__(self, after_sequence: int, up_to: int, /) -> Awaitable[Sequence[bytes]]:
        """Events after one number and up to another, in order; at least one where there are any."""


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """How a turn ended, and what it led to."""

    outcome: Outcome
    responses: tuple[Message, ...]
    state: ConversationState
    at: datetime


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a turn begins with."""

    request: TurnRequest
    fingerprint: bytes
    durability: Durability
    at: datetime


class RunningTurn:
    """The events of one turn, from the one that the store does not have yet to the newest.

    There is no queue and no task per follower: each one keeps its own position and reads at its own pace.
    """

    def __init__(self, key: TurnKey, beginning: Beginning, attend: Callable[[RunningTurn], None] | None = None) -> None:
        self.key = key
        self.beginning = beginning
        # The row of the turn where the log keeps it in tables; 0 until it is there.
        self.row = 0
        # The number of the first event that is still in memory, and of the last one that is in the store.
        self.first = 1
        self.stored = 0
        self.events: list[bytes] = []
        self.end: TurnEnd | None = None
        # The number of the last event that was given to the store, and since when later ones wait.
        self.handed = 0
        self.waits_since = 0.0
        # Whether its last event is there.
        self.over = False
        # `attend` is called by the event that makes more bytes wait for the store than this.
        self.patience: float = 0
        self._attend = attend
        self._waiting_bytes = 0
        self._closed = False
        self._error: LmosError | None = None
        self._followers = 0
        self._bell = asyncio.Event()

    @property
    def last(self) -> int:
        """The number of the newest event."""
        return self.first + len(self.events) - 1

    @property
    def shown(self) -> int:
        """The number of the last event that anybody may see."""
        hidden = self._error is not None or self.beginning.durability is Durability.BEFORE_SHOWN
        return self.stored if hidden else self.last

    def add(self, event: bytes, *, last: bool = False) -> None:
        """Takes the next event on; that its number is the next one is the caller's care.

        Raises:
            InternalError: the turn is over.
        """
        if self.over or self.end is not None:
            raise InternalError("nothing follows the last event of a turn")
        self.over = last
        if self._error is not None:
            self.first += 1
            return
        self.events.append(event)
        self._waiting_bytes += len(event)
        if self._attend and self._waiting_bytes > self.patience:
            self._attend(self)
        if self._followers:
            self._ring()

    def hand_over(self) -> tuple[int, list[bytes]]:
        """The events that were not given to the store yet, and the number of the first of them."""
        first, self._waiting_bytes = self.handed + 1, 0
        self.handed = self.last
        return first, self.events[first - self.first :]

    def store(self, up_to: int) -> None:
        """The store has the events up to a number: they need not be in memory any more."""
        self.stored = up_to
        keep = _TAIL if self._followers else 0
        gone = min(up_to, self.last - keep) + 1 - self.first
        if gone > 0:
            del self.events[:gone]
            self.first += gone
        self._ring()

    def close(self, error: LmosError | None = None) -> None:
        """Nothing comes any more: lets the followers go, with an error where they cannot be given the rest."""
        self._closed, self._error = True, error
        self._ring()

    def lose(self, error: LmosError) -> None:
        """The store failed: nothing that comes is kept any more."""
        self.first = self.last + 1
        self.events.clear()
        self.close(error)

    @property
    def lost(self) -> LmosError | None:
        """What made the turn get lost."""
        return self._error

    async def written(self, sequence: int) -> None:
        """Returns once the store has an event.

        Raises:
            LmosError: it will never have it.
        """
        while self.stored < sequence:
            if self._error is not None:
                raise self._error
            await self._bell.wait()

    async def closed(self) -> None:
        """Returns once nothing comes any more."""
        while not self._closed:
            await self._bell.wait()

    async def follow(self, after_sequence: int, read: ReadEvents) -> AsyncGenerator[bytes, None]:
        """Events after a number, as they come, until the turn is over or closed."""
        position = max(0, after_sequence)
        with self._followed():
            while await self._reaches(position + 1):
                for event in self._from_memory(position) or await read(position, self.stored):
                    position += 1
                    yield event
            if self._error is not None:
                raise self._error

    def _from_memory(self, position: int) -> Sequence[bytes]:
        if position + 1 < self.first:
            return ()
        return self.events[position + 1 - self.first : self.shown + 1 - self.first]

    def _ring(self) -> None:
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()

    @contextmanager
    def _followed(self) -> Iterator[None]:
        self._followers += 1
        try:
            yield
        finally:
            self._followers -= 1

    async def _reaches(self, sequence: int) -> bool:
        while self.shown < sequence and not self._closed and not (self.over and self.shown == self.last):
            await self._bell.wait()
        return self.shown >= sequence
