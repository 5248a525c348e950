"""The orchestrator: an agent whose work is to let other agents work."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from lmos_grpc.domain.card import AgentCard, AgentKey, Capability
from lmos_grpc.domain.conversation import ConversationState
from lmos_grpc.domain.turn import Lane, Role, Strategy, StrategyKind
from lmos_grpc.errors import LmosError
from lmos_grpc.orchestrator.judge import ScoreJudge
from lmos_grpc.orchestrator.listeners import Listeners
from lmos_grpc.orchestrator.managed_turn import ManagedTurn
from lmos_grpc.telemetry.decision_span import record_decision

if TYPE_CHECKING:
    from datetime import timedelta

    from lmos_grpc.agent_service import TurnWork
    from lmos_grpc.clients.live_view import LiveView
    from lmos_grpc.conversation import TurnLog
    from lmos_grpc.domain.decision import Candidate, Decision
    from lmos_grpc.domain.turn import Message, TurnRequest
    from lmos_grpc.orchestrator.judge import Judge
    from lmos_grpc.orchestrator.listeners import SessionCaller
    from lmos_grpc.routing import LaneChoice


@dataclass(frozen=True, slots=True)
class OrchestratorSettings:
    """How the orchestrator presents itself, and its bounds.

    Attributes:
        name: its name as an agent.
        version: its version as an agent.
        history_messages: how much history agents get when the caller sends none.
        most_held_bytes: how much is held back of each branch whose answer is to be judged.
    """

    name: str = "orchestrator"
    version: str = "0.1.0"
    history_messages: int = 20
    most_held_bytes: int = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would become of a turn, or why it can go to nobody; and what is told of the agent that was asked about."""

    decision: Decision | None
    why_not: tuple[Candidate, ...]
    error: LmosError | None = None


class Decider(Protocol):
    """Decides who gets a turn; the router is one."""

    def decide(self, turn: TurnRequest, state: ConversationState, /) -> Decision:
        """The decision on a turn.

        Raises:
            LmosError: the turn names an agent or capability that does not exist or may not be used.
        """

    async def consult(self, turn: TurnRequest, decision: Decision, state: ConversationState, /) -> Decision:
        """The decision, looked at again where nobody was found or several were."""

    def lane(self, turn: TurnRequest, decision: Decision, state: ConversationState, /) -> LaneChoice:
        """The lane that the turn may take, and why."""

    def why_not(self, turn: TurnRequest, agent: str, decision: Decision | None, /) -> tuple[Candidate, ...]:
        """All that keeps an agent from a turn.

        Raises:
            LmosError: there is no such tenant, or it has no such channel.
        """


class Orchestrator:
    """A `TurnRunner` that decides on a turn and runs it on the agents that it chose.

    Its `listeners`, an `Audience`, have to be entered for agents that listen.
    """

    def __init__(
        self,
        decider: Decider,
        view: LiveView,
        log: TurnLog,
        caller: SessionCaller,
        settings: OrchestratorSettings | None = None,
        *,
        judge: Judge | None = None,
    ) -> None:
        self._view = view
        self._decider = decider
        self._log = log
        self.listeners = Listeners(caller, self._listens)
        self._settings = settings or OrchestratorSettings()
        self._judge = judge or ScoreJudge()

    def card(self) -> AgentCard:
        """Who answers at the edge: the mesh as a whole."""
        return AgentCard(
            name=self._settings.name,
            version=self._settings.version,
            description="Routes each turn to the agents of the mesh and merges their answers.",
            capabilities=(Capability("route", self._settings.version, "Finds who can answer, and lets them."),),
            may_hand_over=True,
            records_turns=True,
            converses=True,
        )

    async def explain(self, turn: TurnRequest) -> Decision:
        """The decision on a turn, without running it.

        Raises:
            LmosError: the turn names an agent or capability that does not exist or may not be used.
        """
        state = await self._state(turn)
        decision = await self._decider.consult(turn, self._decider.decide(turn, state), state)
        # A turn that is run has its ids, and so it is explained as if it had them.
        sent = replace(turn, conversation_id=turn.conversation_id or "explained", turn_id=turn.turn_id or "explained")
        return self._decider.lane(sent, decision, state).told_in(decision)

    async def why_not(self, turn: TurnRequest, agent: str) -> Explanation:
        """The decision on a turn, without running it, and all that keeps an agent from it.

        Raises:
            LmosError: there is no such tenant, or it has no such channel.
        """
        try:
            decision, error = await self.explain(turn), None
        except LmosError as failed:
            decision, error = None, failed
        try:
            return Explanation(decision, self._decider.why_not(turn, agent, decision), error)
        except LmosError as failed:
            raise failed from error

    async def admit(self, turn: TurnRequest, time_left: timedelta) -> TurnWork:
        """Decides on a turn.

        Raises:
            LmosError: the turn names an agent or capability that does not exist or may not be used.
        """
        if turn.sensitive:
            # Nobody hears of it beside the one agent that it is for.
            turn = replace(turn, hint=replace(turn.hint, strategy=Strategy(StrategyKind.ONE)))
        state = await self._state(turn)
        decision = await self._decider.consult(turn, self._decider.decide(turn, state), state)
        lane = self._decider.lane(turn, decision, state)
        if lane.lane is Lane.MANAGED:  # else it came another way than over the edge, or the router was not there
            decision = lane.told_in(decision)
        record_decision(decision)
        if not turn.history and (history := await self._history(turn)):
            turn = replace(turn, history=history)
        if decision.answer and state.open_question and not state.open_question.agent:
            decision = _about_what_was_asked(decision, turn.history)
        if decision.answer:
            turn = replace(turn, answer=decision.answer)
        if decision.locale and not turn.user.locale:
            turn = replace(turn, user=replace(turn.user, locale=decision.locale))
        if turn.live and len(decision.targets) > 1:
            # Nobody has the line to itself.
            self.listeners.leave(turn.live.line)
        most = self._settings.most_held_bytes
        return ManagedTurn(turn, decision, self.listeners, self._reroute, self._label, time_left, self._judge, most)

    def _reroute(self, turn: TurnRequest) -> Decision:
        # A handover says where to go; what the conversation was before does not count any more.
        decision = self._decider.decide(turn, ConversationState())
        record_decision(decision)
        return decision

    def _label(self, candidate: Candidate) -> str:
        agent = self._view.agents.get(AgentKey(candidate.agent, candidate.version, candidate.subset))
        capability = agent.card.capability(candidate.capability) if agent else None
        if capability is None:
            return candidate.capability.replace("-", " ")
        return capability.name or capability.description or capability.id.replace("-", " ")

    def _listens(self, route: str) -> bool:
        key = AgentKey.from_route(route)
        agent = self._view.agents.get(key) if key else None
        return agent is not None and agent.card.listens and agent.card.converses

    async def _state(self, turn: TurnRequest) -> ConversationState:
        return await self._log.state(turn.context.tenant, turn.conversation_id)

    async def _history(self, turn: TurnRequest) -> tuple[Message, ...]:
        limit = self._settings.history_messages
        return await self._log.history(turn.context.tenant, turn.conversation_id, limit)


def _about_what_was_asked(decision: Decision, history: tuple[Message, ...]) -> Decision:
    """The decision with the message that the mesh had asked back on: the answer to that only names the agent."""
    asked = next((each.text for each in reversed(history) if each.role is Role.USER), "")
    return replace(decision, targets=tuple(replace(each, text=asked) for each in decision.targets))
