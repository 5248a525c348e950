"""The client of what the orchestrator offers beside AgentService."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from lmos.orchestrator.v1 import orchestrator_service_pb2 as pb
from lmos.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub

from lmos_grpc.rpc import calling, context_to_metadata
from lmos_grpc.wire.decision import candidate_from_wire, decision_from_wire
from lmos_grpc.wire.failure import failure_from_wire
from lmos_grpc.wire.turn import turn_to_wire

if TYPE_CHECKING:
    import grpc.aio
    from lmos.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceAsyncStub

    from lmos_grpc.domain.decision import Candidate, Decision
    from lmos_grpc.domain.failure import FailureDetail
    from lmos_grpc.domain.turn import TurnRequest

_CALL_TIME = timedelta(seconds=5)


class OrchestratorClient:
    """Calls the orchestrator over a channel."""

    def __init__(self, channel: grpc.aio.Channel, *, timeout: timedelta = _CALL_TIME) -> None:
        # The generated stub serves both kinds of channel; its type knows only one at a time.
        self._stub: OrchestratorServiceAsyncStub = OrchestratorServiceStub(channel)  # type: ignore[assignment]
        self._seconds = timeout.total_seconds()

    async def explain_route(self, turn: TurnRequest) -> Decision:
        """The decision on a turn, without running it.

        Raises:
            LmosError: the call failed, or the turn names an agent or capability that does not exist.
        """
        request = pb.ExplainRouteRequest(turn=turn_to_wire(turn))
        metadata = context_to_metadata(turn.context, conversation_id=turn.conversation_id)
        with calling():
            response = await self._stub.ExplainRoute(request, timeout=self._seconds, metadata=metadata)
        return decision_from_wire(response.decision)

    async def why_not(self, turn: TurnRequest, agent: str) -> tuple[Decision | FailureDetail, tuple[Candidate, ...]]:
        """The decision on a turn, or why it can go to nobody; and all that keeps an agent from it.

        Raises:
            LmosError: the call failed, or there is no such tenant or channel.
        """
        request = pb.ExplainRouteRequest(turn=turn_to_wire(turn), why_not=agent)
        metadata = context_to_metadata(turn.context, conversation_id=turn.conversation_id)
        with calling():
            response = await self._stub.ExplainRoute(request, timeout=self._seconds, metadata=metadata)
        failed = response.HasField("error")
        outcome = failure_from_wire(response.error) if failed else decision_from_wire(response.decision)
        return outcome, tuple(candidate_from_wire(each) for each in response.why_not)
