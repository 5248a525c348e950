"""What became of labelled phrases: how many were right, and what was taken for what."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from lmos_grpc.cli.evaluation.labelled_phrase import NOBODY
from lmos_grpc.domain.decision import DecisionMode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmos_grpc.cli.evaluation.labelled_phrase import LabelledPhrase
    from lmos_grpc.domain.decision import Decision

_NO_ANSWER = (DecisionMode.ABSTAINED, DecisionMode.FALLBACK)


class Verdict(Enum):
    """What a decision was worth."""

    RIGHT = "right"
    ASKED = "asked back, with the right option"
    ABSTAINED = "abstained"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Judged:
    """One phrase, what was decided, and what that was worth."""

    phrase: LabelledPhrase
    decision: Decision

    @property
    def verdict(self) -> Verdict:
        """What the decision was worth."""
        nobody = self.phrase.expected == NOBODY
        if self.decision.mode in _NO_ANSWER:
            return Verdict.RIGHT if nobody or self._fell_back_right else Verdict.ABSTAINED
        if self.decision.mode is DecisionMode.CLARIFICATION:
            return Verdict.ASKED if any(map(self._is_expected, self._options)) else Verdict.WRONG
        return Verdict.RIGHT if self._reached and all(map(self._is_expected, self._reached)) else Verdict.WRONG

    @property
    def got(self) -> str:
        """Who got it, in the words of what was expected: an agent, a capability, or both."""
        if self.decision.mode in _NO_ANSWER and not self._fell_back_right:
            return NOBODY
        if self.decision.mode is DecisionMode.CLARIFICATION:
            return "asked back"
        return " + ".join(self._named(*each) for each in self._reached)

    @property
    def _reached(self) -> tuple[tuple[str, str], ...]:
        return tuple((each.agent, each.capability) for each in self.decision.targets)

    @property
    def _options(self) -> tuple[tuple[str, str], ...]:
        return tuple((each.agent, each.capability) for each in self.decision.candidates if each.chosen)

    @property
    def _fell_back_right(self) -> bool:
        return self.decision.mode is DecisionMode.FALLBACK and any(map(self._is_expected, self._reached))

    def _is_expected(self, reached: tuple[str, str]) -> bool:
        agent, capability = reached
        return self.phrase.expected in (agent, capability, f"{agent}/{capability}")

    def _named(self, agent: str, capability: str) -> str:
        if "/" in self.phrase.expected:
            return f"{agent}/{capability}"
        return capability if self.phrase.expected == capability else agent


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All phrases with what became of them."""

    judged: Sequence[Judged]

    @classmethod
    def of(cls, phrases: Sequence[LabelledPhrase], decisions: Sequence[Decision]) -> Evaluation:
        """The evaluation of phrases whose decisions come in the same order."""
        return cls(tuple(Judged(*each) for each in zip(phrases, decisions, strict=True)))

    def count(self, verdict: Verdict) -> int:
        """How many came to that."""
        return sum(each.verdict is verdict for each in self.judged)

    @property
    def accuracy(self) -> float:
        """The share that was right, of all."""
        return self.count(Verdict.RIGHT) / len(self.judged)

    @property
    def coverage(self) -> float:
        """The share that somebody got, of what somebody should get."""
        asked = [each for each in self.judged if each.phrase.expected != NOBODY]
        answered = sum(each.verdict in (Verdict.RIGHT, Verdict.WRONG) and each.got != NOBODY for each in asked)
        return answered / len(asked) if asked else 1.0

    @property
    def precision(self) -> float:
        """The share that was right, of what somebody got."""
        answered = [each for each in self.judged if each.got not in (NOBODY, "asked back")]
        return sum(each.verdict is Verdict.RIGHT for each in answered) / len(answered) if answered else 1.0

    def confusions(self) -> list[tuple[tuple[str, str], int]]:
        """What was expected and what came instead, the most frequent first."""
        missed = ((each.phrase.expected, each.got) for each in self.judged if each.verdict is not Verdict.RIGHT)
        return sorted(Counter(missed).items(), key=lambda each: (-each[1], each[0]))

    def table(self) -> dict[str, Counter[str]]:
        """For each label, how often who got it."""
        rows: dict[str, Counter[str]] = {}
        for each in sorted(self.judged, key=lambda each: each.phrase.expected):
            rows.setdefault(each.phrase.expected, Counter())[each.got] += 1
        return rows
