"""One branch of a managed turn: an agent, and those it hands over to."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from lmos_grpc.domain.event import BranchOutcome, Failure, Handover, Outcome, Routed, Source
from lmos_grpc.domain.sensitive import masked, turn_to_keep
from lmos_grpc.domain.turn import MAX_ID_LENGTH, Message, Role, RouteHint, TextPart
from lmos_grpc.errors import DeadlineExceededError, HandoverLimitError, HandoverLoopError, LmosError
from lmos_grpc.orchestrator.agent_call import AgentCall

if TYPE_CHECKING:
    from datetime import timedelta

    from lmos_grpc.domain.decision import Decision, Target
    from lmos_grpc.domain.event import EventBody, Usage
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.orchestrator.agent_call import AgentCaller
    from lmos_grpc.rpc import Inflow
    from lmos_grpc.wire.framed_event import SaidEvent

MAX_HANDOVERS = 5
# What the mesh itself acts on.
_CONTROL = frozenset({"handover", "error"})


class Reroute(Protocol):
    """Decides where a handover leads."""

    def __call__(self, turn: TurnRequest, /) -> Decision:
        """The decision on the turn as it was handed over.

        Raises:
            LmosError: the handover leads to nobody.
        """


class BranchEmit(Protocol):
    """The methods of `Emit` that do not wait."""

    @property
    def full(self) -> bool:
        """As `Emit.full`."""

    def put(self, body: EventBody, source: Source, /) -> None:
        """As `Emit.put`."""

    def relay(self, event: SaidEvent, source: Source, /) -> None:
        """As `Emit.relay`."""

    def hold(self, inflow: Inflow) -> None:
        """As `Emit.hold`."""


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

    async def run(self, emit: BranchEmit) -> None:
        """Runs the branch to its end. A failure of the branch is emitted and kept, not raised."""
        try:
            async with asyncio.timeout(self.limit.total_seconds()):
                outcome = await self._follow_handovers(emit)
        except TimeoutError:
            seconds = self.limit.total_seconds()
            self._fail(emit, DeadlineExceededError(f"{self.target.agent} was not done within {seconds:.1f} s"))
        except LmosError as error:
            self._fail(emit, error)
        else:
            self.outcome = BranchOutcome(self.source, outcome, self.outcome.error)

    def fail(self, error: LmosError) -> None:
        """Says why the branch has failed, for whoever cancels it."""
        self.outcome = BranchOutcome(self.source, Outcome.FAILED, error.detail)

    def _fail(self, emit: BranchEmit, error: LmosError) -> None:
        self.fail(error)
        emit.put(Failure(error.detail), self.source)

    async def _follow_handovers(self, emit: BranchEmit) -> Outcome:
        for _ in range(MAX_HANDOVERS + 1):
            hearing = _Hearing(self, emit)
            done = await AgentCall(self.caller, self.target, self._asked_of_target(), self.limit, hearing).run()
            self.usages.append(done.usage)
            if done.outcome is not Outcome.HANDED_OVER or hearing.handover is None:
                return done.outcome
            self._hand_over(hearing.handover, emit)
        raise HandoverLimitError(
            f"the turn was handed over more than {MAX_HANDOVERS} times, last by {self.target.agent}",
            agent=self.target.agent,
        )

    def _hand_over(self, handover: Handover, emit: BranchEmit) -> None:
        if self.turn.sensitive:
            handover = self._without_secret(handover)
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
        if self.turn.sensitive:
            handed = turn_to_keep(handed)
        decision = self.reroute(handed)
        if not decision.targets:
            raise HandoverLoopError(f"nobody is left to take over from {self.target.agent}: {decision.reason}")
        self.turn, self.target = handed, decision.targets[0]
        emit.put(Routed(decision), self.source)

    def _without_secret(self, handover: Handover) -> Handover:
        """The handover as the next agent may see it: what is sensitive was for the one that asked for it."""
        return replace(handover, summary=masked(handover.summary, self.turn.message.text))

    def _asked_of_target(self) -> TurnRequest:
        message = Message.from_user(self.target.text) if self.target.text else self.turn.message
        hint = RouteHint(agent=self.target.agent, capability=self.target.capability)
        live = self.turn.live
        if live and self.number:
            # One of several: it answers once, and does not listen.
            live = replace(live, line="")
        return replace(self.turn, turn_id=self._turn_id(), message=message, hint=hint, live=live)

    def _turn_id(self) -> str:
        # Two branches may lead to one agent, to which one turn id is one turn.
        if not self.number:
            return self.turn.turn_id
        derived = f"{self.turn.turn_id}.{self.number}"
        return derived if len(derived) <= MAX_ID_LENGTH else hashlib.sha256(derived.encode()).hexdigest()


class _Hearing:
    """Passes on what one agent says."""

    def __init__(self, branch: Branch, emit: BranchEmit) -> None:
        self._branch = branch
        self._emit = emit
        self._source = branch.source
        self._default = branch.target.capability
        self.handover: Handover | None = None

    def __call__(self, event: SaidEvent, inflow: Inflow) -> None:
        if event.kind in _CONTROL:
            self._read(event.body())
        capability = event.capability or self._default
        if capability != self._source.capability:
            self._source = replace(self._source, capability=capability)
        emit = self._emit
        emit.relay(event, self._source)
        if emit.full:
            emit.hold(inflow)

    def _read(self, body: EventBody) -> None:
        match body:
            case Handover():
                self.handover = body
            case Failure(detail):
                self._branch.outcome = BranchOutcome(self._branch.source, Outcome.FAILED, detail)


def _summary(handover: Handover, agent: str) -> tuple[Message, ...]:
    return (Message(Role.AGENT, (TextPart(handover.summary),), agent),) if handover.summary else ()
