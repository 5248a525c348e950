"""The router as Envoy asks it: one short HTTP exchange per turn, answered from the event loop as it comes in."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from lmos.agent.v1 import agent_service_pb2 as pb

from lmos_grpc.errors import EnvironmentFaultError, LmosError
from lmos_grpc.express.first_message import Unreadable, first_message
from lmos_grpc.express.wire import (
    GO_ON,
    HEALTH_PATH,
    LARGEST_HEAD,
    SESSION_PATH,
    UNREADABLE,
    NotHttpError,
    read_head,
)
from lmos_grpc.rpc import context_from_metadata
from lmos_grpc.rpc.metadata import AGENT_HEADER
from lmos_grpc.wire.turn import turn_from_wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc.domain.turn import CallContext, TurnRequest
    from lmos_grpc.express.lane_keeper import LaneKeeper
    from lmos_grpc.express.wire import Head

_LOG = logging.getLogger(__name__)
# Above what Envoy shows of a request (envoy/express.yaml).
_LARGEST_BODY = 8 * 1024 * 1024


@asynccontextmanager
async def serve_router(address: str, keeper: LaneKeeper) -> AsyncIterator[str]:
    """Answers Envoy at `host:port` (port 0: any free one) until the block ends; gives the address as bound.

    Raises:
        EnvironmentFaultError: the address cannot be bound.
    """
    host, _, port = address.rpartition(":")
    group, connections = asyncio.TaskGroup(), set[_Connection]()
    try:
        server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(keeper, group, connections), host.strip("[]"), int(port), backlog=1024
        )
    except OSError as error:
        raise EnvironmentFaultError(
            f"cannot listen on {address}: {error.strerror}. Choose another port.", address=address
        ) from error
    async with group, server:
        try:
            yield f"{host}:{server.sockets[0].getsockname()[1]}"
        finally:
            # An Envoy that waits has the orchestrator instead, as soon as it sees that nobody is there.
            for each in tuple(connections):
                each.close()


class _Connection(asyncio.Protocol):
    """One connection of an Envoy, on which it asks about one turn after the other."""

    def __init__(self, keeper: LaneKeeper, group: asyncio.TaskGroup, connections: set[_Connection]) -> None:
        self._keeper = keeper
        self._group = group
        self._connections = connections
        self._received = bytearray()
        self._head: Head | None = None
        self._asking: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # what a server of streams makes
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        self._connections.discard(self)
        if self._asking is not None:
            # The orchestrator has the turn by now.
            self._asking.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        try:
            self._answer_all()
        except NotHttpError as error:
            _LOG.warning("the router was sent what no Envoy sends: %s", error)
            self._write(UNREADABLE)
            self.close()

    def close(self) -> None:
        """Hangs up."""
        if self._transport is not None:
            self._transport.close()

    def _answer_all(self) -> None:
        if len(self._received) > LARGEST_HEAD + _LARGEST_BODY:
            raise NotHttpError(f"{len(self._received):,} bytes before the answer")
        while self._asking is None:
            if self._head is None:
                self._head = read_head(self._received)
            head = self._head
            if head is None or len(self._received) < head.end:
                if head and head.body_size > _LARGEST_BODY:
                    raise NotHttpError(f"a body of {head.body_size:,} bytes")
                return
            body = bytes(memoryview(self._received)[head.size : head.end])
            del self._received[: head.end]
            self._head = None
            self._answer(head, body)

    def _answer(self, head: Head, body: bytes) -> None:
        if head.path == SESSION_PATH:
            self._write(self._keeper.for_session(head.headers.get(AGENT_HEADER, ""), _context(head)))
            return
        turn = None if head.path == HEALTH_PATH else _turn(first_message(body), _context(head))
        answer = self._keeper.at_once(turn) if turn else GO_ON
        if answer is not None:
            self._write(answer)
        elif turn:
            self._asking = self._group.create_task(self._ask(turn))

    async def _ask(self, turn: TurnRequest) -> None:
        try:
            self._write(await self._keeper.after_asking(turn))
        except Exception:  # noqa: BLE001 - the edge: Envoy is let go, and the orchestrator has the turn
            _LOG.exception("a decision of the express lane failed")
            self.close()
        self._asking = None
        self.data_received(b"")

    def _write(self, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(answer)


def _context(head: Head) -> CallContext:
    return context_from_metadata(head.headers.items())


def _turn(found: bytes | Unreadable, context: CallContext) -> TurnRequest | None:
    if isinstance(found, Unreadable):
        _LOG.debug("leaving a call to the orchestrator: %s", found.reason)
        return None
    try:
        return turn_from_wire(pb.InvokeRequest.FromString(found), context)
    except (LmosError, DecodeError, ValueError, OverflowError) as error:
        _LOG.debug("leaving a call to the orchestrator: its message cannot be read: %s", error)
        return None
