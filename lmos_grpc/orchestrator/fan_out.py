"""Several branches at once: their events are merged as they come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lmos_grpc.domain.event import Clarification, EventBody, Failure, Handover, MessageDone, Source, TextDelta

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmos_grpc.agent_service import Emit
    from lmos_grpc.orchestrator.branch import Branch

# So many events of all branches together may wait for the caller; then the agents wait.
_WAITING_EVENTS = 32
# So many status events a branch of a race may hold back before it answers.
_HELD_BACK = 32

_Merged = tuple[EventBody, Source]
_SELF = Source()


async def run_all(branches: Sequence[Branch], emit: Emit) -> None:
    """Runs all branches to their ends; one that fails does not disturb the others."""
    merged = _Merge(len(branches))
    async with asyncio.TaskGroup() as group:
        for branch in branches:
            group.create_task(merged.run(branch, merged.put))
        await merged.drain(emit)


async def run_first(branches: Sequence[Branch], emit: Emit) -> Branch | None:
    """Lets the branches race: the first that answers wins and goes on, and the others are cancelled.

    Returns the winner, or None where no branch answered.
    """
    merged = _Merge(len(branches))
    race = _Race()
    async with asyncio.TaskGroup() as group:
        for branch in branches:
            task = group.create_task(merged.run(branch, _Runner(branch, race, merged).put))
            race.tasks[branch.number] = task
        await merged.drain(emit)
    return next((branch for branch in branches if branch.number == race.winner), None)


class _Merge:
    """Takes the events of several tasks in order and gives them to one, which alone writes to the caller."""

    def __init__(self, running: int) -> None:
        self._running = running
        # Bounded by the semaphore and not by the queue, because the end of a cancelled branch must never wait.
        self._room = asyncio.Semaphore(_WAITING_EVENTS)
        self._events: asyncio.Queue[_Merged | None] = asyncio.Queue()

    async def put(self, body: EventBody, source: Source = _SELF, /) -> None:
        await self._room.acquire()
        self._events.put_nowait((body, source))

    async def run(self, branch: Branch, emit: Emit) -> None:
        try:
            await branch.run(emit)
        finally:
            self._events.put_nowait(None)

    async def drain(self, emit: Emit) -> None:
        while self._running:
            event = await self._events.get()
            if event is None:
                self._running -= 1
                continue
            self._room.release()
            await emit(*event)


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

    def __init__(self, branch: Branch, race: _Race, merged: _Merge) -> None:
        self._branch = branch
        self._race = race
        self._merged = merged
        self._held: list[_Merged] = []

    async def put(self, body: EventBody, source: Source = _SELF, /) -> None:
        if self._race.winner == self._branch.number:
            await self._merged.put(body, source)
        elif isinstance(body, TextDelta | MessageDone | Clarification) and self._race.won_by(self._branch.number):
            for event in self._held:
                await self._merged.put(*event)
            await self._merged.put(body, source)
        elif not isinstance(body, Failure | Handover):
            self._held = [*self._held[-_HELD_BACK + 1 :], (body, source)]
