"""Several branches at once: their events are merged as they come."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from lmos_grpc.domain.event import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lmos_grpc.agent_service import Emit
    from lmos_grpc.domain.event import EventBody, Source
    from lmos_grpc.orchestrator.branch import Branch
    from lmos_grpc.rpc import Inflow
    from lmos_grpc.wire.framed_event import SaidEvent

# So many status events a branch of a race may hold back before it answers.
_HELD_BACK = 32
# So many events a branch may hold back while another one is heard.
_MOST_WAITING = 256
_ANSWERS = frozenset({"text_delta", "message", "clarification"})
_NOT_OF_THE_LOSERS = frozenset({"error", "handover"})


async def run_all(branches: Sequence[Branch], emit: Emit) -> None:
    """Runs all branches to their ends; one that fails does not disturb the others."""
    async with asyncio.TaskGroup() as group:
        for branch in branches:
            group.create_task(branch.run(emit))


async def run_first(branches: Sequence[Branch], emit: Emit) -> Branch | None:
    """Lets the branches race: the first that answers wins and goes on, and the others are cancelled.

    Returns the winner, or None where no branch answered.
    """
    race = _Race()
    async with asyncio.TaskGroup() as group:
        for branch in branches:
            task = group.create_task(branch.run(_Runner(branch.number, race, emit)))
            race.tasks[branch.number] = task
    return next((branch for branch in branches if branch.number == race.winner), None)


async def run_in_order(branches: Sequence[Branch], emit: Emit) -> None:
    """Runs all branches at once, and lets them be heard one after the other: a caller on the telephone has one ear."""
    queue = _Queue(emit)
    async with asyncio.TaskGroup() as group:
        for branch in branches:
            group.create_task(_run_in_order(branch, queue.place()))


async def _run_in_order(branch: Branch, place: _Place) -> None:
    try:
        await branch.run(place)
    finally:
        place.leave()


class _Queue:
    """The places in which branches wait until they are heard; the first one is heard as it speaks."""

    def __init__(self, emit: Emit) -> None:
        self.emit = emit
        self._places: deque[_Place] = deque()

    def place(self) -> _Place:
        """The next place."""
        place = _Place(self)
        self._places.append(place)
        return place

    def is_first(self, place: _Place) -> bool:
        """Whether the branch in a place is heard."""
        return self._places[0] is place

    def move_up(self) -> None:
        """Lets those be heard whose turn it is."""
        while self._places and self._places[0].left:
            self._places.popleft()
            if self._places:
                self._places[0].be_heard()


class _Place:
    """Holds back what a branch says while another one is heard; the agent pauses before that is too much."""

    def __init__(self, queue: _Queue) -> None:
        self._queue = queue
        self._waiting: deque[Callable[[], None]] = deque()
        self._paused: dict[Inflow, None] = {}
        self.left = False

    @property
    def full(self) -> bool:
        if self._queue.is_first(self):
            return self._queue.emit.full
        return len(self._waiting) >= _MOST_WAITING

    def hold(self, inflow: Inflow) -> None:
        if self._queue.is_first(self):
            self._queue.emit.hold(inflow)
        else:
            inflow.pause()
            self._paused[inflow] = None

    def put(self, body: EventBody, source: Source, /) -> None:
        if self._queue.is_first(self):
            self._queue.emit.put(body, source)
        else:
            self._waiting.append(partial(self._queue.emit.put, body, source))

    def relay(self, event: SaidEvent, source: Source, /) -> None:
        if self._queue.is_first(self):
            self._queue.emit.relay(event, source)
        else:
            self._waiting.append(partial(self._queue.emit.relay, event, source))

    def be_heard(self) -> None:
        while self._waiting:
            self._waiting.popleft()()
        for inflow in self._paused:
            inflow.resume()
        self._paused.clear()

    def leave(self) -> None:
        self.left = True
        self._queue.move_up()


class _Race:
    """Who won, once somebody has."""

    def __init__(self) -> None:
        self.winner: int | None = None
        self.tasks: dict[int, asyncio.Task[None]] = {}

    def won_by(self, number: int) -> bool:
        """Whether this branch is or becomes the winner; becoming it cancels the others."""
        if self.winner is None:
            self.winner = number
            for other, task in self.tasks.items():
                if other != number:
                    task.cancel()
        return self.winner == number


class _Runner:
    """Holds a branch's events back until it answers, which decides the race."""

    def __init__(self, number: int, race: _Race, emit: Emit) -> None:
        self._number = number
        self._race = race
        self._emit = emit
        self._held: deque[Callable[[], None]] = deque(maxlen=_HELD_BACK)

    @property
    def full(self) -> bool:
        return self._emit.full

    def hold(self, inflow: Inflow) -> None:
        self._emit.hold(inflow)

    def put(self, body: EventBody, source: Source, /) -> None:
        if self._race.winner == self._number:
            self._emit.put(body, source)
        elif not isinstance(body, Failure):
            self._held.append(partial(self._emit.put, body, source))

    def relay(self, event: SaidEvent, source: Source, /) -> None:
        if self._race.winner == self._number:
            self._emit.relay(event, source)
        elif event.kind in _ANSWERS and self._race.won_by(self._number):
            while self._held:
                self._held.popleft()()
            self._emit.relay(event, source)
        elif event.kind not in _NOT_OF_THE_LOSERS:
            self._held.append(partial(self._emit.relay, event, source))
