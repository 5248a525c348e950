"""One branch of a managed turn: an agent, and those it hands over to."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from lmos_grpc.domain.event import (
    Accepted,
    BranchOutcome,
    Failure,
    Handover,
    Outcome,
    Routed,
    Source,
    TurnDone,
)
from lmos_grpc.domain.turn import MAX_ID_LENGTH, Message, Role, RouteHint, TextPart
from lmos_grpc.errors import (
    AgentProtocolViolationError,
    DeadlineExceededError,
    HandoverLimitError,
    HandoverLoopError,
    LmosError,
)
from lmos_grpc.orchestrator.agent_stream import agent_events

if TYPE_CHECKING:
    from datetime import timedelta

    from lmos_grpc.agent_service import Emit
    from lmos_grpc.domain.decision import Decision, Target
    from lmos_grpc.domain.event import (
        Usage,
    )
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.orchestrator.agent_stream import AgentCaller

MAX_HANDOVERS = 5


class Reroute(Protocol):
    """Decides where a handover leads."""

    def __call__(self, turn: TurnRequest, /) -> Decision:
        """The decision on the turn as it was handed over.

        Raises:
            LmosError: the handover leads to nobody.
        """


@dataclass(slots=True)
class Branch:
    """Works through one target of a decision; `outcome` and `usage` tell how it went."""

    caller: AgentCaller
    reroute: Reroute
    turn: TurnRequest
    target: Target
    limit: timedelta
    number: int = 0
    outcome: BranchOutcome = field(init=False)
    usages: list[Usage] = field(default_factory=list)

    def __post_init__(self) -> None:
        """A branch that was not run to its end was cancelled."""
        self.outcome = BranchOutcome(self.source, Outcome.CANCELLED)

    @property
    def source(self) -> Source:
        """Who works on the branch now."""
        return Source(self.target.agent, self.target.version, self.target.capability, self.number)

    async def run(self, emit: Emit) -> None:
        """Runs the branch to its end. A failure of the branch is emitted and kept, not raised."""
        try:
            async with asyncio.timeout(self.limit.total_seconds()):
                outcome = await self._follow_handovers(emit)
        except TimeoutError:
            seconds = self.limit.total_seconds()
            error = DeadlineExceededError(f"{self.target.agent} was not done within {seconds:.1f} s")
            await self.fail(emit, error)
        except LmosError as error:
            await self.fail(emit, error)
        else:
            self.outcome = BranchOutcome(self.source, outcome, self.outcome.error)

    async def fail(self, emit: Emit, error: LmosError) -> None:
        """Ends the branch as failed."""
        self.outcome = BranchOutcome(self.source, Outcome.FAILED, error.detail)
        await emit(Failure(error.detail), self.source)

    async def _follow_handovers(self, emit: Emit) -> Outcome:
        for _ in range(MAX_HANDOVERS + 1):
            outcome, handover = await self._one_agent(emit)
            if handover is None:
                return outcome
            await self._hand_over(handover, emit)
        raise HandoverLimitError(
            f"the turn was handed over more than {MAX_HANDOVERS} times, last by {self.target.agent}",
            agent=self.target.agent,
        )

    async def _one_agent(self, emit: Emit) -> tuple[Outcome, Handover | None]:
        handover: Handover | None = None
        asked = self._asked_of_target()
        async with aclosing(agent_events(self.caller, self.target, asked, self.limit)) as events:
            async for event in events:
                match event.body:
                    case Accepted():
                        raise AgentProtocolViolationError(
                            f"{self.target.agent} accepted its turn twice", agent=self.target.agent
                        )
                    case TurnDone(outcome, usage):
                        self.usages.append(usage)
                        return outcome, handover if outcome is Outcome.HANDED_OVER else None
                    case Handover() as wish:
                        handover = wish
                    case Failure(detail):
                        self.outcome = BranchOutcome(self.source, Outcome.FAILED, detail)
                await emit(event.body, self._source_of(event.source))
        raise AssertionError  # agent_events ends with TurnDone, or raises

    async def _hand_over(self, handover: Handover, emit: Emit) -> None:
        visited = (*self.turn.context.visited, self.target.agent)
        if handover.agent in visited:
            raise HandoverLoopError(
                f"{self.target.agent} handed the turn over to {handover.agent}, which had it before",
                agent=handover.agent,
            )
        handed = replace(
            self.turn,
            hint=RouteHint(agent=handover.agent, capability=handover.capability),
            history=(*self.turn.history, *_summary(handover, self.target.agent)),
            answer=None,
            context=replace(self.turn.context, visited=visited),
        )
        decision = self.reroute(handed)
        if not decision.targets:
            raise HandoverLoopError(f"nobody is left to take over from {self.target.agent}: {decision.reason}")
        self.turn, self.target = handed, decision.targets[0]
        await emit(Routed(decision), self.source)

    def _asked_of_target(self) -> TurnRequest:
        message = Message.from_user(self.target.text) if self.target.text else self.turn.message
        hint = RouteHint(agent=self.target.agent, capability=self.target.capability)
        return replace(self.turn, turn_id=self._turn_id(), message=message, hint=hint)

    def _turn_id(self) -> str:
        # Two branches may lead to one agent, to which one turn id is one turn.
        if not self.number:
            return self.turn.turn_id
        derived = f"{self.turn.turn_id}.{self.number}"
        return derived if len(derived) <= MAX_ID_LENGTH else hashlib.sha256(derived.encode()).hexdigest()

    def _source_of(self, said: Source) -> Source:
        return replace(self.source, capability=said.capability or self.target.capability)


def _summary(handover: Handover, agent: str) -> tuple[Message, ...]:
    return (Message(Role.AGENT, (TextPart(handover.summary),), agent),) if handover.summary else ()
