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
from lmos_grpc.orchestrator.best import Best
from lmos_grpc.orchestrator.branch import Branch
from lmos_grpc.orchestrator.fan_out import FanOut
from lmos_grpc.orchestrator.one_voice import OneVoice
from lmos_grpc.orchestrator.phrases import phrase
from lmos_grpc.orchestrator.quorum import Quorum
from lmos_grpc.orchestrator.race import Race
from lmos_grpc.rpc import child_timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lmos_grpc.agent_service import Emit
    from lmos_grpc.domain.decision import Candidate, Decision, Target
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.orchestrator.agent_call import AgentCaller
    from lmos_grpc.orchestrator.branch import Reroute
    from lmos_grpc.orchestrator.judge import Judge


@dataclass(frozen=True, slots=True)
class ManagedTurn:
    """The work on one turn; `label` gives the option of a clarification its text for the user."""

    turn: TurnRequest
    decision: Decision
    caller: AgentCaller
    reroute: Reroute
    label: Callable[[Candidate], str]
    time_left: timedelta
    judge: Judge
    most_held_bytes: int

    async def __call__(self, emit: Emit, /) -> None:
        """Works on the turn until it is done."""
        emit.put(Routed(self.decision))
        if self.decision.mode is DecisionMode.CLARIFICATION:
            self._ask_back(emit)
        elif not self.decision.targets:
            self._abstain(emit)
        else:
            await self._run_branches(emit)

    def _ask_back(self, emit: Emit) -> None:
        options = tuple(_option(each, self.label(each)) for each in self.decision.candidates if each.chosen)
        question = phrase("clarify", self.turn.user.locale)
        emit.put(Clarification(uuid.uuid4().hex, question, options))
        emit.put(TurnDone(Outcome.INPUT_REQUIRED))

    def _abstain(self, emit: Emit) -> None:
        text = self.decision.abstention or phrase("abstain", self.turn.user.locale)
        emit.put(MessageDone(Message(Role.AGENT, (TextPart(text),), turn_id=self.turn.turn_id)))
        emit.put(TurnDone(Outcome.ABSTAINED))

    async def _run_branches(self, emit: Emit) -> None:
        decision = self.decision
        if len(decision.targets) == 1 and decision.beginning:
            branch = self._branch(decision.targets[0], 0)
            branch.limit = min(branch.limit, self._budget)
            await branch.run(emit)
            emit.put(TurnDone(branch.outcome.outcome, _total(branch.usages)))
        else:
            fan_out = self._fan_out(emit)
            await fan_out.run()
            _end(emit, fan_out)

    def _fan_out(self, emit: Emit) -> FanOut:
        decision, strategy, budget = self.decision, self.decision.strategy, self._budget
        branches = [self._branch(target, number) for number, target in enumerate(decision.targets, 1)]
        at_once, delay = len(decision.beginning), strategy.hedge_delay
        match strategy.kind:
            case StrategyKind.QUORUM:
                return Quorum(branches, emit, budget, needed=strategy.quorum, at_once=at_once, hedge_delay=delay)
            case StrategyKind.BEST:
                scores = [_score(decision, target) for target in decision.targets]
                return Best(branches, emit, budget, judge=self.judge, scores=scores, most_bytes=self.most_held_bytes)
            case StrategyKind.FIRST | StrategyKind.ONE:
                return Race(branches, emit, budget, at_once=at_once, hedge_delay=delay)
            case _:
                return (OneVoice if self.turn.live else FanOut)(branches, emit, budget)

    @property
    def _budget(self) -> timedelta:
        # Less one more margin than the turn itself, so that what has arrived can still be delivered.
        limit = child_timeout(child_timeout(self.time_left))
        return min(limit, self.decision.strategy.turn_budget or limit)

    def _branch(self, target: Target, number: int) -> Branch:
        limit = self.decision.strategy.branch_budget or self.time_left
        return Branch(self.caller, self.reroute, self.turn, target, limit, number)


def _end(emit: Emit, fan_out: FanOut) -> None:
    branches = [runner.branch for runner in fan_out.begun]
    outcome = fan_out.outcome
    if outcome is Outcome.FAILED and fan_out.failure:
        emit.put(Failure(fan_out.failure.detail))
    usage = _total(each for branch in branches for each in branch.usages)
    emit.put(TurnDone(outcome, usage, tuple(branch.outcome for branch in branches)))


def _score(decision: Decision, target: Target) -> float:
    """What routing gave the target; 0 where it was named and not scored."""
    found = (
        each.score for each in decision.candidates if (each.agent, each.capability) == (target.agent, target.capability)
    )
    return next(found, 0.0)


def _option(candidate: Candidate, label: str) -> ClarificationOption:
    return ClarificationOption(
        id=f"{candidate.agent}/{candidate.capability}",
        label=label,
        agent=candidate.agent,
        capability=candidate.capability,
        score=candidate.score,
    )


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
