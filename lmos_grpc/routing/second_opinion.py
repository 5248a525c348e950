"""Asking somebody slower where the classifier is not sure: within a time limit, and only about who may be chosen."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from lmos_grpc.domain.decision import DecisionMode
from lmos_grpc.errors import LmosError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lmos_grpc.domain.card import AgentCard, AgentKey
    from lmos_grpc.domain.decision import Decision
    from lmos_grpc.routing.classifier import Offer, Score

UNSURE = frozenset({DecisionMode.CLARIFICATION, DecisionMode.ABSTAINED, DecisionMode.FALLBACK})

_MOST_OPTIONS = 10


@dataclass(frozen=True, slots=True)
class Option:
    """One offer that may be right, with the score that it has so far and what its card says."""

    score: Score
    description: str
    examples: tuple[str, ...]


class SecondOpinion(Protocol):
    """Scores options anew. It can choose among them, or none of them, and nothing else."""

    @property
    def name(self) -> str:
        """The name that decisions carry."""

    async def scores(self, text: str, options: Sequence[Option]) -> tuple[Score, ...]:
        """A score for each option, the best first.

        Raises:
            LmosError: it cannot be reached, or what it said makes no sense.
        """


@dataclass(frozen=True, slots=True)
class Consultant:
    """A second opinion with its time limit: when that is over, what was decided stands."""

    opinion: SecondOpinion
    limit: timedelta = timedelta(seconds=1)

    async def ask(self, text: str, options: Sequence[Option]) -> tuple[Score, ...] | str:
        """The scores, or why there are none."""
        try:
            async with asyncio.timeout(self.limit.total_seconds()):
                return await self.opinion.scores(text, options)
        except TimeoutError:
            return f"{self.opinion.name} did not answer within {self.limit.total_seconds():g} s"
        except LmosError as error:
            return f"{self.opinion.name} could not be asked: {error.message}"


class Told:
    """A classifier that knows one ranking, which somebody else has made."""

    def __init__(self, name: str, scores: tuple[Score, ...]) -> None:
        self.name = name
        self._scores = scores

    def sync(self, changed: Mapping[AgentKey, AgentCard | None]) -> None:
        """Learns nothing."""

    def rank(self, text: str, locale: str, candidates: frozenset[Offer]) -> tuple[Score, ...]:  # noqa: ARG002 - it was told
        """The ranking, as far as it is about candidates."""
        return tuple(each for each in self._scores if each.offer in candidates)


def options_of(scores: tuple[Score, ...], cards: Mapping[str, AgentCard]) -> tuple[Option, ...]:
    """The best scores with what the cards of their agents say."""
    options = []
    for score in scores[:_MOST_OPTIONS]:
        card = cards[score.offer.agent]
        capability = card.capability(score.offer.capability)
        if capability is not None:
            examples = tuple(phrase for phrases in capability.examples.values() for phrase in phrases)
            options.append(Option(score, capability.description or card.description, examples))
    return tuple(options)


def noted(decision: Decision, why: str) -> Decision:
    """The decision, with why there is no second opinion in it."""
    return replace(decision, reason=f"{decision.reason}; {why}")
