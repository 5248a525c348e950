"""The push interface of a server's call: messages that are bytes already, sent without waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmos_grpc.http2.server_context import ServerContext


class Outlet:
    """Sends the messages of one call; what is put in one pass of the event loop leaves in one write."""

    __slots__ = ("_call",)

    def __init__(self, call: ServerContext) -> None:
        self._call = call

    def put(self, message: bytes) -> None:
        """Sends a serialized message, after the call's initial metadata. Where the call is over, does nothing."""
        self._call.put(message)

    @property
    def full(self) -> bool:
        """Whether so much waits that the sender should wait for `room`."""
        return self._call.full

    async def room(self) -> None:
        """Returns at once unless `full`.

        Raises:
            CancelledError: the call is over.
        """
        await self._call.room()
        self._call.require_running()

    async def flushed(self) -> None:
        """Returns when all that was put was given to the transport.

        Raises:
            CancelledError: the call is over.
        """
        await self._call.flushed()
        self._call.require_running()
