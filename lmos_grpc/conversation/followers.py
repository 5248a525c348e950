"""The turns that run in this process, and how those who follow them are woken."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from lmos_grpc.conversation.refusal import turn_not_found
from lmos_grpc.domain.event import TurnDone
from lmos_grpc.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Iterator, Sequence

    from lmos_grpc.domain.conversation import TurnKey
    from lmos_grpc.domain.event import AgentEvent
    from lmos_grpc.errors import LmosError

# A follower that is further behind reads from the store again.
_TAIL = 64


class ReadEvents(Protocol):
    """Reads events of a turn from where they are kept."""

    def __call__(self, after_sequence: int, up_to: int, /) -> Awaitable[Sequence[AgentEvent]]:
        """Events after one number and up to another, in order; at least one where there are any."""


class RunningTurn:
    """A turn that runs here: which numbers were given out, and a bell for those who follow it.

    There is no queue and no task per follower: each one keeps its own position and reads at its own pace.
    """

    def __init__(self, fingerprint: bytes) -> None:
        self.fingerprint = fingerprint
        # The row of the turn where the log keeps it in tables; 0 until it is there.
        self.row = 0
        # The last event that followers may see.
        self.last = 0
        # Whether the store may hold events after `last` that nobody was shown, because a call was cut off.
        self.torn = False
        # Whether its last event was shown.
        self.over = False
        self._writing = False
        self._ended = False
        self._error: LmosError | None = None
        self._followers = 0
        self._tail: deque[AgentEvent] = deque(maxlen=_TAIL)
        self._bell = asyncio.Event()

    @contextmanager
    def writing(self, events: Sequence[AgentEvent]) -> Iterator[None]:
        """Lets one call write these events in its block, and shows them to the followers where the block succeeds.

        Raises:
            InternalError: the events are not the next ones, or another call is at work.
        """
        self._check(events)
        self._writing = True
        try:
            yield
        except BaseException:
            self.torn = True
            raise
        finally:
            self._writing = False
        self.torn = False
        self._show(events)

    def end(self, error: LmosError | None = None) -> None:
        """Lets the followers go, with an error where they cannot be given the rest."""
        self._ended, self._error = True, error
        self._ring()

    async def follow(self, after_sequence: int, read: ReadEvents) -> AsyncGenerator[AgentEvent, None]:
        """Events after a number, as they are written, until the turn is over or ended."""
        position = max(0, after_sequence)
        with self._followed():
            while await self._reaches(position + 1):
                for event in self._tail_after(position) or await read(position, self.last):
                    position = event.sequence
                    yield event
                    if isinstance(event.body, TurnDone):
                        return
            if self._error is not None:
                raise self._error

    def _check(self, events: Sequence[AgentEvent]) -> None:
        if self._writing:
            raise InternalError("two events of a turn were written at once")
        expected = range(self.last + 1, self.last + 1 + len(events))
        if [event.sequence for event in events] != list(expected):
            raise InternalError(
                f"the next event of a turn has the number {expected.start}, given were "
                f"{', '.join(str(event.sequence) for event in events)}"
            )
        if self.over or any(isinstance(event.body, TurnDone) for event in events[:-1]):
            raise InternalError("nothing follows the last event of a turn")

    def _show(self, events: Sequence[AgentEvent]) -> None:
        if not events:
            return
        self.last = events[-1].sequence
        self.over = isinstance(events[-1].body, TurnDone)
        if self._followers:
            self._tail.extend(events)
            self._ring()

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
            if not self._followers:
                self._tail.clear()

    async def _reaches(self, sequence: int) -> bool:
        while self.last < sequence and not self._ended and not self.over:
            await self._bell.wait()
        return self.last >= sequence

    def _tail_after(self, position: int) -> Sequence[AgentEvent]:
        if not self._tail or position + 1 < self._tail[0].sequence:
            return ()
        return tuple(islice(self._tail, position + 1 - self._tail[0].sequence, None))


class RunningTurns:
    """All turns that run in this process, by their key."""

    def __init__(self) -> None:
        self._running: dict[TurnKey, RunningTurn] = {}
        self._lost: dict[TurnKey, LmosError] = {}

    def find(self, key: TurnKey) -> RunningTurn | None:
        """The turn, or None where it does not run here."""
        return self._running.get(key)

    def require(self, key: TurnKey) -> RunningTurn:
        """The turn.

        Raises:
            TurnNotFoundError: it does not run here.
            LmosError: what made it get lost.
        """
        turn = self._running.get(key)
        if turn is None:
            raise self._lost.get(key) or turn_not_found(key)
        return turn

    def open(self, key: TurnKey, fingerprint: bytes) -> RunningTurn:
        """A turn that begins."""
        self._lost.pop(key, None)
        turn = self._running[key] = RunningTurn(fingerprint)
        return turn

    def close(self, key: TurnKey, error: LmosError | None = None) -> None:
        """The turn does not run any more."""
        turn = self._running.pop(key, None)
        if turn is not None:
            turn.end(error)

    def lose(self, key: TurnKey, error: LmosError) -> None:
        """The turn cannot go on because the store failed: whoever runs or follows it is told so."""
        self.close(key, error)
        self._lost[key] = error

    def forget_lost(self) -> None:
        """Forgets why turns were lost: whoever ran them has gone."""
        self._lost.clear()

    def all(self) -> tuple[RunningTurn, ...]:
        """Those that run now."""
        return tuple(self._running.values())
