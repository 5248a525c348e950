"""What became of a call, as its caller hears it: the answer's headers, the status, and who waits for them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

from lmos_grpc.http2 import frames as h2
from lmos_grpc.http2.frames import StreamFaultError
from lmos_grpc.http2.metadata import decode_text, metadata_of
from lmos_grpc.http2.status import code_of_http, code_of_number, code_of_reset
from lmos_grpc.http2.stream import Stream, call_back, wait_in, wake_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.http2.metadata import Field

_CANCELLED: Final = "Locally cancelled by application!"
_INFORMATIONAL: Final = range(100, 200)
_HTTP_OK: Final = 200


class CallOutcome(Stream):
    """A call's way to its status: from the server, from the connection, or from the caller who cancels."""

    __slots__ = (
        "_again",
        "_callbacks",
        "_cancelled",
        "_code",
        "_deadline",
        "_details",
        "_fault",
        "_initial",
        "_loop",
        "_poller",
        "_timer",
        "_trailing",
        "_waiters",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, *, timeout: float | None, max_message_bytes: int) -> None:
        super().__init__(max_message_bytes)
        self._loop = loop
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._timer: asyncio.TimerHandle | None = None
        self._initial: list[Field] | None = None
        self._trailing: list[Field] = []
        self._code: grpc.StatusCode | None = None
        self._details = ""
        self._cancelled = False
        self._fault: Exception | None = None
        self._callbacks: list[Callable[[Any], None]] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._poller: asyncio.Task[None] | None = None  # sends the requests of an iterator
        self._again: bytes | None = None  # the only request, while it may be sent once more
        if timeout is not None:
            self._timer = loop.call_later(max(timeout, 0), self._deadline_passed)

    def headers_came(self, fields: list[Field]) -> None:
        """The head of the response, or its trailers."""
        if self._initial is None:
            self._head_came(fields)
        elif self.remote_ended:
            self._trailers_came(fields)
        else:
            raise StreamFaultError(h2.PROTOCOL_ERROR, "a second header block that does not end the stream")

    def _head_came(self, fields: list[Field]) -> None:
        said = dict(fields)
        status = said.get(b":status", b"")
        number = int(status) if status.isdigit() else 0
        if number in _INFORMATIONAL:
            return
        self._initial = fields
        self._again = None
        self.encoding = said.get(b"grpc-encoding", b"")
        if b"grpc-status" in said and self.remote_ended:
            # The answer is its trailers.
            self._initial = []
            self._trailers_came(fields)
        elif number != _HTTP_OK:
            self._refused(code_of_http(number), f"the server answered with HTTP status {number}")
        elif not said.get(b"content-type", b"").startswith(b"application/grpc"):
            kind = said.get(b"content-type", b"").decode("latin-1")
            self._refused(grpc.StatusCode.UNKNOWN, f"the server answered with content type {kind!r}, which is not gRPC")
        else:
            wake_all(self._waiters)

    def _trailers_came(self, fields: list[Field]) -> None:
        self._trailing = fields
        said = dict(fields)
        if self.cut_short:
            self._complete(grpc.StatusCode.INTERNAL, "the response ends in the middle of a message")
        elif b"grpc-status" in said:
            self._complete(code_of_number(said[b"grpc-status"]), decode_text(said.get(b"grpc-message", b"")))
        else:
            self._complete(grpc.StatusCode.UNKNOWN, "the response ends without a status")
        if not self.local_ended:
            self._let_go(h2.NO_ERROR)

    def _refused(self, code: grpc.StatusCode, details: str) -> None:
        self._complete(code, details)
        self._let_go(h2.CANCEL)

    def end_came(self) -> None:
        """The response is over; by now it should have a status."""
        self._complete(grpc.StatusCode.UNKNOWN, "the response ends without a status")
        if not self.local_ended:
            self._let_go(h2.CANCEL)

    def reset_came(self, code: int) -> None:
        """The server broke the call off."""
        if self._time_is_over():
            self._complete(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
        elif code == h2.REFUSED_STREAM:
            self.never_seen("the server refused the stream")
        else:
            self._complete(code_of_reset(code), f"the stream was reset with HTTP/2 error code {code}")

    def connection_lost(self, reason: str) -> None:
        """The server is away."""
        self._complete(grpc.StatusCode.UNAVAILABLE, reason)

    def message_refused(self, code: grpc.StatusCode, reason: str) -> None:
        """A message is too large or cannot be decompressed."""
        self._refused(code, reason)

    def failed(self, code: grpc.StatusCode, reason: str) -> None:
        """The call was never sent."""
        self._complete(code, reason)

    def cut_off(self, reason: str) -> None:
        """The channel is closed."""
        if self._code is None:
            self._cancelled = True
            self._complete(grpc.StatusCode.CANCELLED, reason)
            self._let_go(h2.CANCEL)

    def _time_is_over(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _deadline_passed(self) -> None:
        self._complete(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
        self._let_go(h2.CANCEL)

    def _complete(self, code: grpc.StatusCode, details: str) -> None:
        if self._code is not None:
            return
        self._code, self._details = code, details
        if self._timer is not None:
            self._timer.cancel()
        if self._poller is not None:
            self._poller.cancel()
        self.no_more()
        wake_all(self._waiters)
        wake_all(self._writers)
        callbacks, self._callbacks = self._callbacks, []
        call_back(callbacks, self)

    def _let_go(self, code: int) -> None:
        if self.connection is not None:
            self.connection.reset(self, code)

    def cancel(self) -> bool:
        """Ends the call; false when it was over."""
        if self._code is not None:
            return False
        self._cancelled = True
        self.messages.clear()
        self._complete(grpc.StatusCode.CANCELLED, _CANCELLED)
        self._let_go(h2.CANCEL)
        return True

    def cancelled(self) -> bool:
        """Whether the call ended as cancelled."""
        return self._code is grpc.StatusCode.CANCELLED

    def done(self) -> bool:
        """Whether the call has a status."""
        return self._code is not None

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Calls back when the call is over; at once if it is."""
        if self._code is not None:
            callback(self)
        else:
            self._callbacks.append(callback)

    def time_remaining(self) -> Any:
        """Seconds until the deadline; None without one."""
        return None if self._deadline is None else max(self._deadline - time.monotonic(), 0.0)

    async def initial_metadata(self) -> grpc.aio.Metadata:
        """The metadata before the first response."""
        while self._initial is None and self._code is None:
            await wait_in(self._waiters)
        return grpc.aio.Metadata(*metadata_of(self._initial or ()))

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        """The metadata with the status."""
        await self._over()
        return grpc.aio.Metadata(*metadata_of(self._trailing))

    async def code(self) -> grpc.StatusCode:
        """The code of the status."""
        await self._over()
        return self._code or grpc.StatusCode.UNKNOWN

    async def details(self) -> str:
        """The text of the status."""
        await self._over()
        return self._details

    async def debug_error_string(self) -> str:
        """The text of the status: there is nothing more to tell."""
        return await self.details()

    async def end_well(self) -> None:
        """Waits for the status.

        Raises:
            AioRpcError: it is not OK.
        """
        await self._over()
        self._raise_for_status()

    async def _over(self) -> None:
        while self._code is None:
            await wait_in(self._waiters)

    def _raise_for_status(self) -> None:
        if self._cancelled:
            raise asyncio.CancelledError
        if self._fault is not None:
            raise self._fault
        if self._code is not grpc.StatusCode.OK:
            raise self._error()

    def _error(self) -> grpc.aio.AioRpcError:
        return grpc.aio.AioRpcError(
            self._code or grpc.StatusCode.UNKNOWN,
            grpc.aio.Metadata(*metadata_of(self._initial or ())),
            grpc.aio.Metadata(*metadata_of(self._trailing)),
            details=self._details,
            debug_error_string=self._details,
        )
