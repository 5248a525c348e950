"""Which path the tokens of a turn take: straight from the agent to the caller, or through the orchestrator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from lmos_grpc.domain.decision import DecisionMode
from lmos_grpc.domain.turn import Lane, StrategyKind
from lmos_grpc.routing.settings import ExpressLane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmos_grpc.domain.card import AgentCard
    from lmos_grpc.domain.conversation import ConversationState
    from lmos_grpc.domain.decision import Decision
    from lmos_grpc.domain.turn import TurnRequest

_ANSWERED_BY_THE_MESH = (DecisionMode.CLARIFICATION, DecisionMode.ABSTAINED)
_ONE_AGENT = (StrategyKind.UNSPECIFIED, StrategyKind.ONE)


@dataclass(frozen=True, slots=True)
class LaneChoice:
    """A lane, and why it is that one; an empty reason means that there was nothing to choose."""

    lane: Lane
    reason: str = ""

    def told_in(self, decision: Decision) -> Decision:
        """The decision with the lane, and with its reason for people."""
        told = f"{decision.reason}; {self.lane.value} lane: {self.reason}" if self.reason else decision.reason
        return replace(decision, lane=self.lane, reason=told)


def choose_lane(
    turn: TurnRequest, decision: Decision, state: ConversationState, card: AgentCard | None, opened: ExpressLane
) -> LaneChoice:
    """The express lane where one agent answers and nothing has to be done with its stream, else the managed one.

    `card` is that of the agent that was chosen, None where it is gone.
    """
    asked = turn.hint.lane is Lane.EXPRESS
    if opened is ExpressLane.OFF:
        return _managed("the express lane is not open" if asked else "")
    if opened is ExpressLane.ASKED and turn.hint.lane is Lane.UNSPECIFIED:
        return _managed("")
    reasons = chain(_what_the_mesh_does(turn, decision, card), _what_the_mesh_knows(turn, state, asked=asked))
    reason = next(reasons, "")
    return _managed(reason) if reason else LaneChoice(Lane.EXPRESS, "one agent, and nothing to do with its stream")


def choose_session_lane(decision: Decision, card: AgentCard | None, opened: ExpressLane) -> LaneChoice:
    """The lane of a whole live session that is for one agent: express where that agent keeps it to its end."""
    if opened is ExpressLane.OFF:
        return _managed("the express lane is not open")
    if len(decision.targets) != 1 or card is None:
        return _managed("the session is not for one agent that is there")
    if not card.converses:
        return _managed(f"{card.name} holds no live sessions itself")
    if card.may_hand_over:
        return _managed(f"{card.name} may hand over")
    if decision.strategy.branch_budget is not None or decision.strategy.turn_budget is not None:
        return _managed("the mesh watches the time that the agent may take")
    return LaneChoice(Lane.EXPRESS, "the session is for one agent, which holds it itself")


def _managed(reason: str) -> LaneChoice:
    return LaneChoice(Lane.MANAGED, reason)


def _what_the_mesh_does(turn: TurnRequest, decision: Decision, card: AgentCard | None) -> Iterator[str]:
    if turn.hint.lane is Lane.MANAGED:
        yield "the caller wants it"
    if decision.mode in _ANSWERED_BY_THE_MESH or not decision.targets:
        yield "the mesh answers itself"
        return
    strategy = decision.strategy
    if strategy.kind not in _ONE_AGENT or (len(decision.targets) > 1 and strategy.hedge_delay is None):
        yield "the answers of several agents are merged"
    elif len(decision.targets) > 1:
        yield "another agent steps in where the first is slow or fails"
    if strategy.branch_budget is not None or strategy.turn_budget is not None:
        yield "the mesh watches the time that the agent may take"
    if decision.answer is not None:
        yield "the agent is told which question the turn answers"
    if decision.targets[0].text:
        yield "the agent is given a part of the message"
    if card is None:
        yield f"{decision.targets[0].agent} is gone"
    elif card.may_hand_over:
        yield f"{card.name} may hand over"


def _what_the_mesh_knows(turn: TurnRequest, state: ConversationState, *, asked: bool) -> Iterator[str]:
    if turn.sensitive:
        yield "what is sensitive is kept out of the log"
    if turn.live:
        yield "the turn belongs to a live session"
    if not turn.conversation_id or not turn.turn_id:
        yield "the mesh makes the conversation_id or turn_id that the caller left out"
    if state.turn_count and not turn.history and not asked:
        yield "the agent is given the history, which the caller did not send"
