"""Envoy's ext_proc service: hears the headers and the first message of each turn, answers once, and hangs up."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc.aio
from google.protobuf.message import DecodeError
from lmos.agent.v1 import agent_service_pb2 as pb

from lmos_grpc.errors import LmosError
from lmos_grpc.express.first_message import FirstMessage, Unreadable
from lmos_grpc.express.wire import (
    EXT_PROC_METHOD,
    GoOn,
    MoreTime,
    RequestBody,
    RequestHeaders,
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
# Envoy waits 0.3 s for an answer, so that a router that hangs costs no more. A caller may open its call and think for
# a while before it writes: then, and only then, Envoy is asked for more time (at most max_message_timeout).
_PATIENCE = timedelta(seconds=0.1)
_MORE_TIME = timedelta(seconds=5)


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
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(_read(requests))
            await asyncio.wait((reading,), timeout=_PATIENCE.total_seconds())
            if not reading.done():
                await context.write(MoreTime(_MORE_TIME))
            turn = await reading
        # The pieces of the message are not answered: Envoy holds them, and the rest goes on without us.
        await context.write(GoOn(await self._headers(turn) if turn else {}))

    async def _headers(self, turn: TurnRequest) -> Mapping[str, str]:
        try:
            return await self._keeper.headers(turn)
        except LmosError as error:
            _LOG.debug("leaving turn %s to the orchestrator: %s", turn.turn_id, error)
            return {}


async def _read(requests: AsyncIterator[Heard]) -> TurnRequest | None:
    """The turn in the first message; None where there is none that can be read here."""
    headers: tuple[tuple[str, str], ...] = ()
    message = FirstMessage()
    async for heard in requests:
        match heard:
            case RequestHeaders(said, last):
                headers = said
                found = message.take(b"", last=True) if last else None
            case RequestBody(piece, last):
                found = message.take(piece, last=last)
            case _:
                found = None
        if found is not None:
            return _turn(found, headers)
    return None


def _turn(found: bytes | Unreadable, headers: tuple[tuple[str, str], ...]) -> TurnRequest | None:
    if isinstance(found, Unreadable):
        _LOG.debug("leaving a call to the orchestrator: %s", found.reason)
        return None
    try:
        return turn_from_wire(pb.InvokeRequest.FromString(found), context_from_metadata(headers))
    except (DecodeError, ValueError, OverflowError) as error:
        _LOG.debug("leaving a call to the orchestrator: its message cannot be read: %s", error)
        return None
