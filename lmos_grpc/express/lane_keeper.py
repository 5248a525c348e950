"""Decides on the turns that Envoy shows, and lets those of one agent go straight to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lmos_grpc.agent_service.admission import admissible
from lmos_grpc.agent_service.turn_execution import random_id
from lmos_grpc.domain.conversation import TurnKey
from lmos_grpc.domain.turn import Lane
from lmos_grpc.express.recent_turns import RecentTurns
from lmos_grpc.rpc.metadata import express_headers
from lmos_grpc.telemetry.decision_span import record_decision

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmos_grpc.clients.live_view import LiveView
    from lmos_grpc.conversation import TurnLog
    from lmos_grpc.domain.conversation import ConversationState
    from lmos_grpc.domain.decision import Decision, Target
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.express.turn_recorder import TurnRecorder
    from lmos_grpc.routing import LaneChoice
    from lmos_grpc.telemetry import Metrics


class Decider(Protocol):
    """Decides who gets a turn and on which lane; the router of the orchestrator is one."""

    def decide(self, turn: TurnRequest, state: ConversationState, /) -> Decision:
        """The decision on a turn.

        Raises:
            LmosError: the turn cannot be routed.
        """

    def lane(self, turn: TurnRequest, decision: Decision, state: ConversationState, /) -> LaneChoice:
        """The lane that the turn may take, and why."""


class LaneKeeper:
    """Says for each turn which headers send it to its agent; none of them leave it to the orchestrator."""

    def __init__(
        self, decider: Decider, view: LiveView, log: TurnLog, recorder: TurnRecorder, metrics: Metrics
    ) -> None:
        self._decider = decider
        self._view = view
        self._log = log
        self._recorder = recorder
        self._metrics = metrics
        self._recent = RecentTurns()

    async def headers(self, turn: TurnRequest) -> Mapping[str, str]:
        """The headers for the turn; empty: the orchestrator has it.

        Raises:
            LmosError: it cannot be routed, which is for the orchestrator to say.
        """
        await self._recorder.write_before(turn)
        # Nothing is decided on a turn that is not ours to run, and that is cheap to see.
        if turn.hint.lane is Lane.MANAGED or not turn.conversation_id or not turn.turn_id:
            return {}
        turn = admissible(turn, new_id=random_id)
        key = TurnKey(turn.context.tenant, turn.conversation_id, turn.turn_id)
        target = self._before(key) or await self._chosen(key, turn)
        return express_headers(target, turn.conversation_id) if target else {}

    def _before(self, key: TurnKey) -> Target | None:
        # The agent keeps the promise that one turn id is one turn, so it has to be the same agent.
        target = self._recent.target(key)
        return target if target and target.key in self._view.agents else None

    async def _chosen(self, key: TurnKey, turn: TurnRequest) -> Target | None:
        state = await self._log.state_before(key)
        if before := self._before(key):  # it came twice at once
            return before
        if state is None or not self._recorder.has_room:
            return None
        decision = self._decider.decide(turn, state)
        decision = self._decider.lane(turn, decision, state).told_in(decision)
        record_decision(decision)
        if decision.lane is not Lane.EXPRESS:
            return None
        self._metrics.route_decided(decision.mode.value, decision.elapsed, lane=Lane.EXPRESS.value)
        [target] = decision.targets
        self._recent.add(key, target)
        agent = self._view.agents[target.key]
        if not agent.card.records_turns:
            self._recorder.take(key, turn, target)
        return target
