"""The first branch that answers wins and goes on; the others are cancelled."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lmos_grpc.domain.event import Outcome
from lmos_grpc.orchestrator.fan_out import FanOut
from lmos_grpc.orchestrator.gate import Gate

if TYPE_CHECKING:
    from lmos_grpc.errors import LmosError
    from lmos_grpc.orchestrator.fan_out import Runner

# So much of what it says before it answers is held back of a branch.
_MOST_BYTES = 256 * 1024


class Race(FanOut):
    """Shows nothing of a branch until it answers, and nothing of those that do not win."""

    winner: Runner | None = None

    @property
    def outcome(self) -> Outcome:
        """How the winner ended; failed where nobody answered."""
        return self.winner.branch.outcome.outcome if self.winner else Outcome.FAILED

    @property
    def failure(self) -> LmosError | None:
        """Nothing more where the winner failed: it has told why."""
        return None if self.winner else super().failure

    def _gate(self, runner: Runner) -> Gate:
        return Gate(self._emit, most_bytes=_MOST_BYTES, on_answer=partial(self._won_by, runner))

    def _won_by(self, runner: Runner) -> None:
        self.winner = runner
        self._settle(keep=runner)
        runner.gate.open()
