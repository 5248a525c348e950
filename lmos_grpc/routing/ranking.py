"""One calibrated ranking, and what follows from it: a winner, a close call, or nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log
from typing import TYPE_CHECKING

from lmos_grpc.routing.settings import RoutingSettings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lmos_grpc.routing.classifier import Score

_MOST_RIVALS = 4
_CERTAIN = 0.9999


@dataclass(frozen=True, slots=True)
class Ranking:
    """Scores, the best first."""

    scores: tuple[Score, ...] = ()
    settings: RoutingSettings = field(default_factory=RoutingSettings)

    @property
    def best(self) -> Score | None:
        """The best of all, where it fits."""
        return self.scores[0] if self.scores and self.scores[0].value >= self.settings.accept else None

    @property
    def adequate(self) -> tuple[Score, ...]:
        """All that fit, the best of each agent."""
        return _best_of_each_agent(each for each in self.scores if each.value >= self.settings.accept)

    @property
    def rivals(self) -> tuple[Score, ...]:
        """The best and those of other agents that are too close to it to tell; one alone is a clear winner."""
        return tuple(each for each in self.adequate if not self._clearly_behind(each))[:_MOST_RIVALS]

    @property
    def distinct(self) -> bool:
        """Whether the best is clear of every other offer, those of its own agent too."""
        return self.best is not None and all(self._clearly_behind(each) for each in self.scores[1:])

    @property
    def log_odds(self) -> float:
        """How sure the best is, as log odds, which add up where several have to be right together."""
        return log(_odds(self.scores[0].value))

    def of_agent(self, agent: str) -> Score | None:
        """The best of one agent, where it fits."""
        return next((each for each in self.adequate if each.offer.agent == agent), None)

    def _clearly_behind(self, score: Score) -> bool:
        return _odds(self.scores[0].value) >= self.settings.clear_odds * _odds(score.value)


def _best_of_each_agent(scores: Iterable[Score]) -> tuple[Score, ...]:
    best: dict[str, Score] = {}
    for score in scores:
        best.setdefault(score.offer.agent, score)
    return tuple(best.values())


def _odds(value: float) -> float:
    certain = min(max(value, 1 - _CERTAIN), _CERTAIN)
    return certain / (1 - certain)
