"""Who decides which of several answers is the best."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from lmos_grpc.errors import LmosError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmos_grpc.domain.event import Outcome, Source
    from lmos_grpc.domain.turn import TurnRequest

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JudgedAnswer:
    """A good answer that stands to choice; `score` is what routing gave its agent, from 0 to 1."""

    source: Source
    text: str
    outcome: Outcome
    score: float


class Judge(Protocol):
    """Chooses among answers. One that fails or takes longer than its `limit` is not waited for: the scores decide."""

    @property
    def limit(self) -> timedelta:
        """The time that it may take, which is kept back from the time of the branches; zero: it does not wait."""

    async def best(self, turn: TurnRequest, answers: Sequence[JudgedAnswer], /) -> int:
        """The place of the best in `answers`, which has at least two, those of the agents that fit best first.

        Raises:
            LmosError: it cannot tell.
        """


class ScoreJudge:
    """A `Judge` that takes the answer of the agent that fits best, and of those that fit alike the first."""

    limit = timedelta(0)

    async def best(self, _turn: TurnRequest, answers: Sequence[JudgedAnswer], /) -> int:
        """The place of the answer with the highest score."""
        return max(range(len(answers)), key=lambda place: answers[place].score)


_BY_SCORE = ScoreJudge()


async def judged(judge: Judge, turn: TurnRequest, answers: Sequence[JudgedAnswer], limit: timedelta) -> int:
    """The place of the best answer, by the judge, or by the scores where it fails within the limit."""
    if len(answers) == 1:
        return 0
    try:
        async with asyncio.timeout(limit.total_seconds() or None):
            place = await judge.best(turn, answers)
    except (LmosError, TimeoutError) as error:
        why = str(error) or f"it took longer than {limit.total_seconds():.1f} s"
        _LOG.warning("the judge did not choose among %d answers, so the scores do: %s", len(answers), why)
    else:
        if 0 <= place < len(answers):
            return place
        _LOG.warning("the judge chose answer %d of %d, so the scores choose", place, len(answers))
    return await _BY_SCORE.best(turn, answers)
