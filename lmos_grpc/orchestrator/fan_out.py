"""Several branches at once: they begin as the strategy says, and their events are merged as they come."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.domain.event import Outcome
from lmos_grpc.errors import NoBranchAnsweredError
from lmos_grpc.orchestrator.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lmos_grpc.agent_service import Emit
    from lmos_grpc.errors import LmosError
    from lmos_grpc.orchestrator.branch import Branch

# Ends with which an answer is good, if perhaps not the last word.
_GOOD_ENDS = frozenset(
    {Outcome.COMPLETED, Outcome.PARTIAL, Outcome.INPUT_REQUIRED, Outcome.TRANSFERRED, Outcome.SESSION_ENDED}
)
# With less time than this nobody is asked any more.
_LEAST_SECONDS = 0.001


@dataclass(slots=True, eq=False)
class Runner:
    """A branch that was begun."""

    branch: Branch
    gate: Gate = field(init=False)
    task: asyncio.Task[None] = field(init=False)
    ended: bool = False

    @property
    def good(self) -> bool:
        """Whether it gave a good answer."""
        return self.ended and self.gate.answered and self.branch.outcome.outcome in _GOOD_ENDS


class FanOut:
    """Runs all branches to their ends; one that fails does not disturb the others.

    `at_once` of the branches begin together, and each of the others when `hedge_delay` has passed since the last one
    began, or one has ended without a good answer. After `budget` nobody works any more.
    """

    def __init__(
        self,
        branches: Sequence[Branch],
        emit: Emit,
        budget: timedelta,
        *,
        at_once: int | None = None,
        hedge_delay: timedelta | None = None,
    ) -> None:
        self._emit = emit
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + budget.total_seconds()
        self._delay = hedge_delay.total_seconds() if hedge_delay is not None else None
        self._waiting = deque(branches)
        self._due = len(branches) if at_once is None else at_once
        self._changed = asyncio.Event()
        self._settled = False
        self.begun: list[Runner] = []

    async def run(self) -> None:
        """Runs the branches until the turn is decided and over. Failures of branches are not raised."""
        async with asyncio.TaskGroup() as group:
            while self._waiting and await self._next_is_due():
                self._begin(self._waiting.popleft(), group)

    @property
    def outcome(self) -> Outcome:
        """How the turn ended."""
        return together([runner.branch.outcome.outcome for runner in self.begun])

    @property
    def failure(self) -> LmosError | None:
        """What is to be told of a turn that failed, beside what the branches told."""
        return NoBranchAnsweredError(f"none of the agents answered: {self.names}")

    @property
    def names(self) -> str:
        """Who was asked."""
        return ", ".join(runner.branch.source.agent for runner in self.begun) or "nobody was asked"

    def _gate(self, _runner: Runner) -> Gate:
        return Gate(self._emit)

    def _on_end(self, runner: Runner) -> None:
        """A branch has ended by itself."""

    def _settle(self, keep: Runner | None = None) -> None:
        """Nobody begins any more, and nobody goes on but the one that is kept."""
        self._settled = True
        self._changed.set()
        for runner in self.begun:
            if runner is not keep:
                self._stop(runner)

    @staticmethod
    def _stop(runner: Runner) -> None:
        if not runner.ended:
            runner.gate.close()
            runner.task.cancel()

    async def _next_is_due(self) -> bool:
        while not self._settled and self._due <= len(self.begun):
            try:
                async with asyncio.timeout(self._delay):
                    await self._changed.wait()
            except TimeoutError:
                self._due += 1
            else:
                self._changed.clear()
        return not self._settled and self._until - self._loop.time() > _LEAST_SECONDS

    def _begin(self, branch: Branch, group: asyncio.TaskGroup) -> None:
        branch.limit = min(branch.limit, timedelta(seconds=self._until - self._loop.time()))
        runner = Runner(branch)
        runner.gate = self._gate(runner)
        self.begun.append(runner)
        runner.task = group.create_task(self._run(runner))

    async def _run(self, runner: Runner) -> None:
        await runner.branch.run(runner.gate)
        runner.ended = True
        if not runner.good:
            self._due += 1
            self._changed.set()
        self._on_end(runner)


def together(outcomes: Iterable[Outcome]) -> Outcome:
    """What the ends of several branches come to."""
    ends = set(outcomes)
    if Outcome.INPUT_REQUIRED in ends:
        return Outcome.INPUT_REQUIRED
    if ends and ends <= _GOOD_ENDS:
        return Outcome.PARTIAL if Outcome.PARTIAL in ends else Outcome.COMPLETED
    return Outcome.PARTIAL if ends & _GOOD_ENDS else Outcome.FAILED
