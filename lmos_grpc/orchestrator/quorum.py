"""So many good answers are needed: the turn ends when they are there, or cannot come any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos_grpc.domain.event import Outcome
from lmos_grpc.errors import NoBranchAnsweredError
from lmos_grpc.orchestrator.fan_out import FanOut, together

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from lmos_grpc.agent_service import Emit
    from lmos_grpc.errors import LmosError
    from lmos_grpc.orchestrator.branch import Branch
    from lmos_grpc.orchestrator.fan_out import Runner


class Quorum(FanOut):
    """Shows what all branches say, until so many have given good answers, or too few are left that could."""

    def __init__(
        self,
        branches: Sequence[Branch],
        emit: Emit,
        budget: timedelta,
        *,
        needed: int,
        at_once: int | None = None,
        hedge_delay: timedelta | None = None,
    ) -> None:
        super().__init__(branches, emit, budget, at_once=at_once, hedge_delay=hedge_delay)
        self._needed = needed
        self._offered = len(branches)
        self._settle_if_clear()

    @property
    def outcome(self) -> Outcome:
        """As the good answers end, where there are enough; else partial, or failed where there is none."""
        good = self._good
        if len(good) >= self._needed:
            return together(runner.branch.outcome.outcome for runner in good)
        return Outcome.PARTIAL if good else Outcome.FAILED

    @property
    def failure(self) -> LmosError | None:
        """How many answers are missing."""
        if self._offered < self._needed:
            return NoBranchAnsweredError(
                f"{self._needed} answers are needed, and no more than {self._offered} can come"
            )
        return NoBranchAnsweredError(f"{self._needed} answers are needed, and none came of: {self.names}")

    def _on_end(self, _runner: Runner) -> None:
        self._settle_if_clear()

    def _settle_if_clear(self) -> None:
        good = len(self._good)
        running = sum(not runner.ended for runner in self.begun)
        if good >= self._needed or good + running + len(self._waiting) < self._needed:
            self._settle()

    @property
    def _good(self) -> list[Runner]:
        return [runner for runner in self.begun if runner.good]
