"""Joins a connection to its socket: one write for each pass of the event loop, and pings."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.http2.connection import Connection
    from lmos_grpc.http2.limits import Keepalive

_HIGH_WATER: Final = 512 * 1024
_PING: Final = b"lmosping"


class Wire(asyncio.Protocol):
    """The protocol that asyncio calls; `make` gets it and gives the connection, `closed` hears of the end."""

    def __init__(
        self, make: Callable[[Wire], Connection], keepalive: Keepalive, closed: Callable[[Wire, str], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._make = make
        self._keepalive = keepalive
        self._closed = closed
        self._transport: Any = None  # asyncio.Transport; its own stubs give less
        self._scheduled = False
        self._wanted = False
        self._heard = False
        self._pinged = False
        self._timer: asyncio.TimerHandle | None = None
        self.connection: Connection

    @property
    def peer(self) -> str:
        """The other end, as gRPC writes addresses."""
        name = self._transport.get_extra_info("peername")
        if not name:
            return "unknown"
        return f"ipv6:%5B{name[0]}%5D:{name[1]}" if ":" in name[0] else f"ipv4:{name[0]}:{name[1]}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._transport = transport
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self.connection = self._make(self)
        self._timer = self._loop.call_later(self._keepalive.time.total_seconds(), self._check)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._heard = True
        if self._scheduled:
            self.connection.receive(data)
            return
        # Whatever this sets going has its turn before the write, and may share it.
        self._scheduled = True
        self._wanted = False
        self.connection.receive(data)
        if self._wanted:
            self._loop.call_soon(self._flush)
        else:
            self._scheduled = False

    def eof_received(self) -> bool:
        """The peer has closed: so do we."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        if self._timer is not None:
            self._timer.cancel()
        reason = f"connection lost: {exc}" if exc else "connection closed by the peer"
        if not self.connection.closing:
            self.connection.lost(reason)
        self._closed(self, reason)

    def pause_writing(self) -> None:
        """The socket takes no more for now."""
        self.connection.paused = True

    def resume_writing(self) -> None:
        """The socket takes more."""
        self.connection.paused = False
        self.wake()

    def wake(self) -> None:
        """There is something to write; it is, after all else that is ready now."""
        self._wanted = True
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Writes what there is, and closes the socket."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Closes the socket at once."""
        self._transport.abort()

    def _flush(self) -> None:
        self._scheduled = False
        if self._transport.is_closing():
            return
        connection = self.connection
        data = connection.pull()
        if data:
            self._transport.write(data)
        if connection.closing:
            self._transport.close()
        elif connection.has_more:
            self.wake()

    def _check(self) -> None:
        if self.connection.closing:
            # It was given all this time to take our last words.
            self.abort()
            return
        if self._heard:
            self._heard = self._pinged = False
            wait = self._keepalive.time
        elif self._pinged:
            self.connection.lost("the peer does not answer pings")
            self.abort()
            return
        else:
            self._pinged = True
            self.connection.ping(_PING)
            wait = self._keepalive.timeout
        self._timer = self._loop.call_later(wait.total_seconds(), self._check)
