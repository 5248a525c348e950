"""Envoy's ext_proc service: hears the headers and the first message of each turn, answers once, and hangs up."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import grpc.aio
from google.protobuf.message import DecodeError
from lmos.agent.v1 import agent_service_pb2 as pb

from lmos_grpc.errors import LmosError
from lmos_grpc.express.first_message import Unreadable, first_message
from lmos_grpc.express.wire import (
    EXT_PROC_METHOD,
    GoOn,
    RequestBody,
    RequestHeaders,
    Seen,
    read_request,
    write_response,
)
from lmos_grpc.rpc import context_from_metadata
from lmos_grpc.wire.turn import turn_from_wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.express.lane_keeper import LaneKeeper
    from lmos_grpc.express.wire import Heard

    Context = grpc.aio.ServicerContext[Any, Any]  # Any: its messages are read and written by hand

_LOG = logging.getLogger(__name__)


class ExpressService:
    """The router as Envoy sees it. Whatever it cannot read, decide or do, it leaves to the orchestrator to answer."""

    def __init__(self, keeper: LaneKeeper) -> None:
        self._keeper = keeper

    def add_to_server(self, server: grpc.aio.Server) -> None:
        """Registers the service; by hand, because its messages have no generated stubs."""
        handler = grpc.stream_stream_rpc_method_handler(
            self._process, request_deserializer=read_request, response_serializer=write_response
        )
        service, method = EXT_PROC_METHOD
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))

    async def _process(self, requests: AsyncIterator[Heard], context: Context) -> None:
        headers: tuple[tuple[str, str], ...] = ()
        async for heard in requests:
            match heard:
                case RequestHeaders(said, last):
                    headers = said
                    await context.write(Seen())
                    if last:
                        return
                case RequestBody(shown):
                    turn = _turn(first_message(shown), headers)
                    await context.write(GoOn(await self._headers(turn) if turn else {}))
                    return

    async def _headers(self, turn: TurnRequest) -> Mapping[str, str]:
        try:
            return await self._keeper.headers(turn)
        except LmosError as error:
            _LOG.debug("leaving turn %s to the orchestrator: %s", turn.turn_id, error)
            return {}


def _turn(found: bytes | Unreadable, headers: tuple[tuple[str, str], ...]) -> TurnRequest | None:
    if isinstance(found, Unreadable):
        _LOG.debug("leaving a call to the orchestrator: %s", found.reason)
        return None
    try:
        return turn_from_wire(pb.InvokeRequest.FromString(found), context_from_metadata(headers))
    except (LmosError, DecodeError, ValueError, OverflowError) as error:
        _LOG.debug("leaving a call to the orchestrator: its message cannot be read: %s", error)
        return None
