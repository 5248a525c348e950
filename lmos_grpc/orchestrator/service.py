"""The handlers of lmos.orchestrator.v1.OrchestratorService."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lmos.orchestrator.v1 import orchestrator_service_pb2 as pb
from lmos.orchestrator.v1.orchestrator_service_pb2_grpc import (
    OrchestratorServiceServicer,
    add_OrchestratorServiceServicer_to_server,
)

from lmos_grpc.errors import EmptyMessageError
from lmos_grpc.rpc import context_from_metadata
from lmos_grpc.rpc.metadata import is_outsider
from lmos_grpc.wire.decision import candidate_to_wire, decision_to_wire
from lmos_grpc.wire.failure import failure_to_wire
from lmos_grpc.wire.turn import turn_from_wire

if TYPE_CHECKING:
    import grpc.aio

    from lmos_grpc.domain.turn import CallContext
    from lmos_grpc.orchestrator.orchestrator import Orchestrator
    from lmos_grpc.rpc.typing import Context

ORCHESTRATOR_SERVICE = pb.DESCRIPTOR.services_by_name["OrchestratorService"].full_name
_MOST_OBSTACLES = 100


class _Handlers(OrchestratorServiceServicer):
    """Explains routes."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator

    async def ExplainRoute(self, request: pb.ExplainRouteRequest, context: Context) -> pb.ExplainRouteResponse:
        turn = turn_from_wire(request.turn, _asker(context))
        if turn.message.empty:
            raise EmptyMessageError("the message is empty: there is nothing to route")
        if not request.why_not:
            decision = await self._orchestrator.explain(turn)
            return pb.ExplainRouteResponse(decision=decision_to_wire(decision))
        told = await self._orchestrator.why_not(turn, request.why_not)
        return pb.ExplainRouteResponse(
            decision=decision_to_wire(told.decision) if told.decision else None,
            why_not=[candidate_to_wire(each) for each in told.why_not[:_MOST_OBSTACLES]],
            error=failure_to_wire(told.error.detail) if told.error else None,
        )


def _asker(context: Context) -> CallContext:
    """Who asks: inside the mesh an operator, who is told of every agent; at the edge a tenant, who is not."""
    metadata = tuple(context.invocation_metadata() or ())
    return replace(context_from_metadata(metadata), operator=not is_outsider(metadata))


def add_orchestrator_service(server: grpc.aio.Server, orchestrator: Orchestrator) -> None:
    """Adds OrchestratorService to a server."""
    add_OrchestratorServiceServicer_to_server(_Handlers(orchestrator), server)
