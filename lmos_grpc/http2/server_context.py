"""A call as its handler sees it: the context of grpc.aio, on a stream of ours."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc
import grpc.aio

from lmos_grpc.http2.compression import ACCEPTED
from lmos_grpc.http2.header_encoding import encode_block, encode_field
from lmos_grpc.http2.metadata import encode_metadata, encode_text, metadata_of
from lmos_grpc.http2.outlet import Outlet
from lmos_grpc.http2.status import NUMBERS, code_of
from lmos_grpc.http2.stream import Stream, call_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lmos_grpc.http2.metadata import Field, Metadatum

    Metadata = Iterable[tuple[str, str | bytes]]

_HEAD: Final = encode_block([(b":status", b"200"), (b"content-type", b"application/grpc")])
_ACCEPTS: Final = encode_block([(b"grpc-accept-encoding", ACCEPTED)])
_OK: Final = encode_block([(b"grpc-status", b"0")])


class ServerContext(Stream, grpc.aio.ServicerContext[Any, Any]):
    """What a handler is told, and what it says: messages, metadata, the status. Any: it serves every type."""

    __slots__ = (
        "_abort",
        "_callbacks",
        "_code",
        "_deadline",
        "_deserialize",
        "_details",
        "_fields",
        "_gone",
        "_invocation",
        "_over",
        "_peer",
        "_serialize",
        "_started",
        "_task",
        "_timer",
        "_trailing",
    )

    def __init__(self, peer: str, fields: list[Field], *, timeout: float | None, max_message_bytes: int) -> None:
        super().__init__(max_message_bytes)
        self._peer = peer
        self._fields = fields
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._invocation: tuple[Metadatum, ...] | None = None
        self._serialize: Callable[[Any], bytes] | None = None
        self._deserialize: Callable[[bytes], Any] | None = None
        self._started = False  # the initial metadata was sent
        self._over = False  # the status was sent, or nobody waits for it
        self._gone = False  # the caller reset it
        self._abort: grpc.aio.AbortError | None = None
        self._code: grpc.StatusCode | None = None
        self._details = ""
        self._trailing: Metadata = ()
        self._callbacks: list[Callable[[Any], None]] = []

    def _finish(self, code: grpc.StatusCode, details: str, trailing: Metadata) -> None:
        if self._over:
            return
        block = _OK if code is grpc.StatusCode.OK and not details else _status(code, details)
        if trailing:
            block += encode_metadata(trailing)
        self._code = code
        self._end()
        connection = self.connection
        if connection is None:
            return
        if self._started:
            self.end(block)
        else:
            connection.send_headers(self, _HEAD + block, end=True)

    def _end(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        callbacks, self._callbacks = self._callbacks, []
        call_back(callbacks, self)

    def _fail(self, code: grpc.StatusCode, reason: str) -> None:
        self._finish(code, reason, ())
        self._cancel()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def put(self, message: bytes) -> None:
        """Sends a serialized message without waiting; where the call is over, does nothing."""
        if self._over:
            return
        if len(message) > self._limit:
            reason = f"Sent message larger than max ({len(message)} vs. {self._limit})"
            self._fail(grpc.StatusCode.RESOURCE_EXHAUSTED, reason)
            return
        if not self._started:
            self._send_head(b"")
        self.send(message)

    def _send_head(self, metadata: bytes) -> None:
        if self.connection is not None:
            self._started = True
            self.connection.send_headers(self, _HEAD + metadata, end=False)

    def outlet(self) -> Outlet:
        """Sends bytes without waiting for each."""
        return Outlet(self)

    def require_running(self) -> None:
        """Stops a sender whose call is over.

        Raises:
            CancelledError: it is.
        """
        if self._over:
            raise asyncio.CancelledError("the call is over")

    async def read(self) -> Any:
        """The next request; EOF after the last."""
        if not self.messages and not await self.more():
            return grpc.aio.EOF
        raw = self.take()
        return self._deserialize(raw) if self._deserialize else raw

    async def write(self, message: Any) -> None:
        """Sends a response; waits while the caller takes none.

        Raises:
            UsageError: the handler has ended the call itself.
            InternalError: the call is over.
        """
        if self._over:
            self._refuse_write()
        self.put(self._serialize(message) if self._serialize else message)
        if self.full:
            await self.room()

    def _refuse_write(self) -> NoReturn:
        if self._abort is not None:
            raise self._abort
        raise grpc.aio.InternalError("the call is over")

    async def send_initial_metadata(self, initial_metadata: Metadata) -> None:
        """Sends the headers of the response now."""
        if self._over:
            self._refuse_write()
        if self._started:
            raise grpc.aio.UsageError("the initial metadata was sent already")
        self._send_head(encode_metadata(initial_metadata))

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Metadata = ()) -> NoReturn:
        """Ends the call with a status that is not OK.

        Raises:
            AbortError: always, so that the handler ends, too.
        """
        if self._abort is not None:
            raise grpc.aio.UsageError("Abort already called!")
        self._abort = grpc.aio.AbortError("Locally aborted.")
        actual = code_of(code)
        if actual is grpc.StatusCode.OK:
            actual = grpc.StatusCode.UNKNOWN
        self._details = details or self._details
        if trailing_metadata:
            self.set_trailing_metadata(trailing_metadata)
        self._finish(actual, self._details, self._trailing)
        raise self._abort

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """Ends the call with a status that is not OK."""
        await self.abort(status.code, status.details, status.trailing_metadata or ())

    def set_trailing_metadata(self, trailing_metadata: Metadata) -> None:
        """What goes with the status.

        Raises:
            ValueError: it is nothing that headers can carry.
        """
        trailing = tuple(trailing_metadata)
        encode_metadata(trailing)
        self._trailing = trailing

    def trailing_metadata(self) -> Any:
        """What was set to go with the status."""
        return self._trailing

    def invocation_metadata(self) -> Any:
        """What the caller sent."""
        if self._invocation is None:
            self._invocation = metadata_of(self._fields)
        return self._invocation

    def set_code(self, code: grpc.StatusCode) -> None:
        """The code of the status when the handler returns."""
        self._code = code_of(code)

    def code(self) -> Any:
        """The code that was set or sent; None before."""
        return self._code

    def set_details(self, details: str) -> None:
        """The text of the status when the handler returns."""
        self._details = details

    def details(self) -> str:
        """The text that was set."""
        return self._details

    def set_compression(self, compression: grpc.Compression) -> None:
        """Nothing: on loopback compression costs more than it saves."""

    def disable_next_message_compression(self) -> None:
        """Nothing: no message is compressed."""

    def peer(self) -> str:
        """The address that the connection comes from."""
        return self._peer

    def peer_identities(self) -> Iterable[bytes] | None:
        """Nobody proves an identity without TLS."""
        return None

    def peer_identity_key(self) -> str | None:
        """Nobody proves an identity without TLS."""
        return None

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """Nobody proves an identity without TLS."""
        return {}

    def time_remaining(self) -> Any:
        """Seconds until the deadline; None without one."""
        return None if self._deadline is None else max(self._deadline - time.monotonic(), 0.0)

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Calls back when the call is over; at once if it is."""
        if self._over:
            callback(self)
        else:
            self._callbacks.append(callback)

    def cancelled(self) -> bool:
        """Whether the caller has gone before the status was sent."""
        return self._gone

    def done(self) -> bool:
        """Whether the call is over."""
        return self._over


def _status(code: grpc.StatusCode, details: str) -> bytes:
    block = encode_field(b"grpc-status", b"%d" % NUMBERS[code])
    if details:
        block += encode_field(b"grpc-message", encode_text(details))
    return _ACCEPTS + block if code is grpc.StatusCode.UNIMPLEMENTED else block
