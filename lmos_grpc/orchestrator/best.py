"""All answers are held back, and the one that a judge finds best is given."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lmos_grpc.domain.event import MessageDone, Outcome, TextDelta
from lmos_grpc.errors import MessageTooLargeError
from lmos_grpc.orchestrator.fan_out import FanOut
from lmos_grpc.orchestrator.gate import Gate
from lmos_grpc.orchestrator.judge import JudgedAnswer, judged
from lmos_grpc.wire.framed_event import SaidEvent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from lmos_grpc.agent_service import Emit
    from lmos_grpc.orchestrator.branch import Branch
    from lmos_grpc.orchestrator.fan_out import Runner
    from lmos_grpc.orchestrator.judge import Judge


class Best(FanOut):
    """Shows nothing until all have ended, or their time is up; then the branch that the judge chooses.

    A branch that says more than `most_bytes` is cancelled, and out: a mesh that held back without bound could be made
    to fall by one agent, and one that paused it would make everybody wait for an answer that never ends.
    """

    def __init__(
        self,
        branches: Sequence[Branch],
        emit: Emit,
        budget: timedelta,
        *,
        judge: Judge,
        scores: Sequence[float],
        most_bytes: int,
    ) -> None:
        # The judge has its time after the branches, but never more than a quarter of all there is.
        self._judging = min(judge.limit, budget / 4)
        super().__init__(branches, emit, budget - self._judging)
        self._judge = judge
        self._scores = dict(zip((branch.number for branch in branches), scores, strict=True))
        self._most_bytes = most_bytes
        self._chosen: Runner | None = None

    @property
    def outcome(self) -> Outcome:
        """How the best branch ended; failed where no answer was good."""
        return self._chosen.branch.outcome.outcome if self._chosen else Outcome.FAILED

    async def run(self) -> None:
        """Runs the branches, has the answers judged, and gives the best."""
        await super().run()
        good = [runner for runner in self.begun if runner.good]
        if not good:
            return
        answers = [self._answer(runner) for runner in good]
        self._chosen = chosen = good[await judged(self._judge, good[0].branch.turn, answers, self._judging)]
        gate = chosen.gate
        while gate.held:
            gate.give_next()
            if self._emit.full:
                await self._emit.room()

    def _gate(self, runner: Runner) -> Gate:
        return Gate(self._emit, most_bytes=self._most_bytes, on_overflow=partial(self._put_out, runner))

    def _put_out(self, runner: Runner) -> None:
        name = runner.branch.source.agent
        runner.branch.fail(
            MessageTooLargeError(
                f"{name} said more than the {self._most_bytes:,} bytes that are held back until answers are judged",
                agent=name,
            )
        )
        self._stop(runner)

    def _answer(self, runner: Runner) -> JudgedAnswer:
        branch = runner.branch
        return JudgedAnswer(branch.source, _said(runner.gate), branch.outcome.outcome, self._scores[branch.number])


def _said(gate: Gate) -> str:
    """All that was said, without messages that repeat the pieces before them."""
    pieces: list[str] = []
    messages: list[str] = []
    for item, _ in gate.held:
        match SaidEvent(item).body() if isinstance(item, bytes) else item:
            case TextDelta(text):
                pieces.append(text)
            case MessageDone(message):
                messages.append(message.text)
    return "".join(pieces) or "\n".join(messages)
