"""Decides on the turns that Envoy shows, and lets those of one agent go straight to it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from lmos_grpc.agent_service.admission import admissible
from lmos_grpc.agent_service.turn_execution import random_id
from lmos_grpc.domain.conversation import ConversationState, TurnKey
from lmos_grpc.domain.turn import Lane, Message, Role, RouteHint, TurnRequest
from lmos_grpc.errors import LmosError
from lmos_grpc.express.lane_answer import answer_for
from lmos_grpc.express.recent_turns import RecentTurns
from lmos_grpc.express.wire import GO_ON

if TYPE_CHECKING:
    from lmos_grpc.clients.live_view import LiveView
    from lmos_grpc.domain.decision import Decision, Target
    from lmos_grpc.domain.turn import CallContext
    from lmos_grpc.express.conversations import Conversations
    from lmos_grpc.express.turn_recorder import TurnRecorder
    from lmos_grpc.routing import LaneChoice
    from lmos_grpc.telemetry import Metrics

_LOG = logging.getLogger(__name__)
_NEW = ConversationState()
_NOTHING_SAID = Message(Role.USER, ())


class Decider(Protocol):
    """Decides who gets a turn and on which lane; the router of the orchestrator is one."""

    def decide(self, turn: TurnRequest, state: ConversationState, /) -> Decision:
        """The decision on a turn.

        Raises:
            LmosError: the turn cannot be routed.
        """

    def lane(self, turn: TurnRequest, decision: Decision, state: ConversationState, /) -> LaneChoice:
        """The lane that the turn may take, and why."""

    def session_lane(self, turn: TurnRequest, decision: Decision, /) -> LaneChoice:
        """The lane that a whole live session may take, and why."""


class LaneKeeper:
    """Gives for each turn the answer that sends it to its agent, or the one that leaves it to the orchestrator."""

    def __init__(
        self,
        decider: Decider,
        view: LiveView,
        conversations: Conversations,
        recorder: TurnRecorder,
        metrics: Metrics,
    ) -> None:
        self._decider = decider
        self._view = view
        self._conversations = conversations
        self._recorder = recorder
        self._metrics = metrics
        self._recent = RecentTurns()

    def at_once(self, turn: TurnRequest) -> bytes | None:
        """The answer where it needs no more than is at hand; None: use `after_asking`."""
        if self._recorder.is_owed_before(turn):
            return None
        # Nothing is decided on a turn that is not ours to run, and that is cheap to see.
        if turn.hint.lane is Lane.MANAGED or not turn.conversation_id or not turn.turn_id:
            return GO_ON
        return self._before(_key(turn))

    def for_session(self, agent: str, context: CallContext) -> bytes:
        """The answer for a live session whose caller names an agent; its first message is not there yet."""
        turn = TurnRequest(_NOTHING_SAID, hint=RouteHint(agent=agent), context=context)
        try:
            decision = self._decider.decide(turn, _NEW)
            decision = self._decider.session_lane(turn, decision).told_in(decision)
        except LmosError as error:
            _LOG.debug("leaving a session to the orchestrator: %s", error)
            return GO_ON
        if decision.lane is not Lane.EXPRESS:
            return GO_ON
        self._metrics.route_decided(decision.mode.value, decision.elapsed, lane=Lane.EXPRESS.value)
        return answer_for(decision.targets[0], "", decision)

    async def after_asking(self, turn: TurnRequest) -> bytes:
        """The answer, once it is known what was said before in the conversation."""
        try:
            if self._recorder.is_owed_before(turn):
                await self._recorder.write_before(turn)
                known = self.at_once(turn)
                if known is not None:
                    return known
            key = _key(turn)
            state = await self._conversations.state_before(key)
            return self._before(key) or self._decided(turn, state)  # it may have come twice at once
        except LmosError as error:
            # What cannot be routed is for the orchestrator to say.
            _LOG.debug("leaving turn %s to the orchestrator: %s", turn.turn_id, error)
            return GO_ON

    def _before(self, key: TurnKey) -> bytes | None:
        # The agent keeps the promise that one turn id is one turn, so it has to be the same agent.
        target = self._recent.target(key)
        return answer_for(target, key.conversation_id) if target and target.key in self._view.agents else None

    def _decided(self, turn: TurnRequest, state: ConversationState | None) -> bytes:
        if state is None or not self._recorder.has_room:
            return GO_ON
        turn = admissible(turn, new_id=random_id)
        decision = self._decider.decide(turn, state)
        decision = self._decider.lane(turn, decision, state).told_in(decision)
        if decision.lane is not Lane.EXPRESS:
            return GO_ON
        self._metrics.route_decided(decision.mode.value, decision.elapsed, lane=Lane.EXPRESS.value)
        [target] = decision.targets
        self._took(turn, target)
        return answer_for(target, turn.conversation_id, decision)

    def _took(self, turn: TurnRequest, target: Target) -> None:
        key = _key(turn)
        self._recent.add(key, target)
        if not self._view.agents[target.key].card.records_turns:
            self._recorder.take(key, turn, target)


def _key(turn: TurnRequest) -> TurnKey:
    return TurnKey(turn.context.tenant, turn.conversation_id, turn.turn_id)
