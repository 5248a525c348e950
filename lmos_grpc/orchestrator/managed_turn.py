"""One managed turn, from the decision to its outcome."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.domain.decision import DecisionMode
from lmos_grpc.domain.event import (
    Clarification,
    ClarificationOption,
    Failure,
    MessageDone,
    Outcome,
    Routed,
    TurnDone,
    Usage,
)
from lmos_grpc.domain.turn import Message, Role, StrategyKind, TextPart
from lmos_grpc.errors import NoBranchAnsweredError
from lmos_grpc.orchestrator.branch import Branch
from lmos_grpc.orchestrator.fan_out import run_all, run_first
from lmos_grpc.orchestrator.phrases import phrase
from lmos_grpc.rpc import child_timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lmos_grpc.agent_service import Emit
    from lmos_grpc.domain.decision import Candidate, Decision
    from lmos_grpc.domain.event import (
        BranchOutcome,
    )
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.orchestrator.agent_stream import AgentCaller
    from lmos_grpc.orchestrator.branch import Reroute

# Ends that are an answer, if perhaps not the last word.
_ANSWERS = frozenset({Outcome.COMPLETED, Outcome.PARTIAL, Outcome.TRANSFERRED, Outcome.SESSION_ENDED})


@dataclass(frozen=True, slots=True)
class ManagedTurn:
    """The work on one turn; `label` gives the option of a clarification its text for the user."""

    turn: TurnRequest
    decision: Decision
    caller: AgentCaller
    reroute: Reroute
    label: Callable[[Candidate], str]
    time_left: timedelta

    async def __call__(self, emit: Emit, /) -> None:
        """Works on the turn until it is done."""
        await emit(Routed(self.decision))
        if self.decision.mode is DecisionMode.CLARIFICATION:
            await self._ask_back(emit)
        elif not self.decision.targets:
            await self._abstain(emit)
        else:
            await self._run_branches(emit)

    async def _ask_back(self, emit: Emit) -> None:
        options = tuple(_option(each, self.label(each)) for each in self.decision.candidates if each.chosen)
        question = phrase("clarify", self.turn.user.locale)
        await emit(Clarification(uuid.uuid4().hex, question, options))
        await emit(TurnDone(Outcome.INPUT_REQUIRED))

    async def _abstain(self, emit: Emit) -> None:
        text = self.decision.abstention or phrase("abstain", self.turn.user.locale)
        await emit(MessageDone(Message(Role.AGENT, (TextPart(text),), turn_id=self.turn.turn_id)))
        await emit(TurnDone(Outcome.ABSTAINED))

    async def _run_branches(self, emit: Emit) -> None:
        branches = self._branches()
        match branches, self.decision.strategy.kind:
            case [branch], _:
                await branch.run(emit)
                await emit(TurnDone(branch.outcome.outcome, _total(branch.usages)))
            case _, StrategyKind.FIRST:
                winner = await run_first(branches, emit)
                await self._end(emit, branches, winner.outcome.outcome if winner else Outcome.FAILED)
            case _:
                await run_all(branches, emit)
                await self._end(emit, branches, _together([branch.outcome for branch in branches]))

    async def _end(self, emit: Emit, branches: Sequence[Branch], outcome: Outcome) -> None:
        outcomes = tuple(branch.outcome for branch in branches)
        if outcome is Outcome.FAILED:
            await emit(Failure(_nobody(outcomes).detail))
        usage = _total(each for branch in branches for each in branch.usages)
        await emit(TurnDone(outcome, usage, outcomes))

    def _branches(self) -> list[Branch]:
        # Less one more margin than the turn itself, so that what has arrived can still be delivered.
        limit = child_timeout(child_timeout(self.time_left))
        limit = min(limit, self.decision.strategy.branch_budget or limit)
        targets = self.decision.targets
        first = 1 if len(targets) > 1 else 0
        return [
            Branch(self.caller, self.reroute, self.turn, target, limit, number)
            for number, target in enumerate(targets, first)
        ]


def _option(candidate: Candidate, label: str) -> ClarificationOption:
    return ClarificationOption(
        id=f"{candidate.agent}/{candidate.capability}",
        label=label,
        agent=candidate.agent,
        capability=candidate.capability,
        score=candidate.score,
    )


def _together(outcomes: Sequence[BranchOutcome]) -> Outcome:
    ends = {each.outcome for each in outcomes}
    if Outcome.INPUT_REQUIRED in ends:
        return Outcome.INPUT_REQUIRED
    if ends <= _ANSWERS:
        return Outcome.PARTIAL if Outcome.PARTIAL in ends else Outcome.COMPLETED
    return Outcome.PARTIAL if ends & _ANSWERS else Outcome.FAILED


def _nobody(outcomes: Sequence[BranchOutcome]) -> NoBranchAnsweredError:
    names = ", ".join(each.source.agent for each in outcomes)
    return NoBranchAnsweredError(f"none of the agents answered: {names}")


def _total(usages: Iterable[Usage]) -> Usage:
    usages = list(usages)
    models = {each.model for each in usages if each.model}
    currencies = {each.currency for each in usages if each.currency}
    return Usage(
        model=", ".join(sorted(models)),
        input_tokens=sum(each.input_tokens for each in usages),
        output_tokens=sum(each.output_tokens for each in usages),
        cost_micros=sum(each.cost_micros for each in usages) if len(currencies) == 1 else 0,
        currency=currencies.pop() if len(currencies) == 1 else "",
        elapsed=sum((each.elapsed for each in usages if each.elapsed), timedelta(0)) or None,
    )
