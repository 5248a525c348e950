"""One call as its caller sees it: the interface of grpc.aio's four kinds of call, on a stream of ours."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from lmos_grpc.http2 import frames as h2
from lmos_grpc.http2.call_outcome import CallOutcome
from lmos_grpc.http2.header_encoding import encode_block, encode_field
from lmos_grpc.http2.metadata import encode_timeout
from lmos_grpc.http2.stream import wait_in, wake_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterable

    from lmos_grpc.http2.client_connection import ClientConnection

_LOG = logging.getLogger(__name__)


class ClientCall(CallOutcome):
    """A call's requests and responses. The channel opens it when a connection has room."""

    __slots__ = (
        "_deserialize",
        "_head",
        "_on_message",
        "_redispatch",
        "_serialize",
        "_started",
        "wait_for_ready",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        head: bytes,
        serialize: Callable[[Any], bytes] | None,
        deserialize: Callable[[bytes], Any] | None,
        *,
        timeout: float | None,
        wait_for_ready: bool,
        max_message_bytes: int,
    ) -> None:
        super().__init__(loop, timeout=timeout, max_message_bytes=max_message_bytes)
        self._head = head
        self._serialize = serialize
        self._deserialize = deserialize
        self.wait_for_ready = wait_for_ready
        self._started = False
        self._on_message: Callable[[bytes], None] | None = None
        self._redispatch: Callable[[ClientCall], None] | None = None

    def dispatch_by(self, dispatch: Callable[[ClientCall], None]) -> None:
        """Has the call opened, now and if need be once more."""
        dispatch(self)
        self._redispatch = dispatch

    def open_on(self, connection: ClientConnection) -> None:
        """A connection has room for the call."""
        self._started = True
        head = self._head
        if self._deadline is not None:
            head += encode_field(b"grpc-timeout", encode_timeout(max(self._deadline - time.monotonic(), 0)))
        connection.open(self, head)
        wake_all(self._waiters)

    def never_seen(self, reason: str) -> None:
        """The server took no notice of the call: one request can be sent once more (gRFC A6, transparent retries)."""
        again, self._again = self._again, None
        if again is None or self._redispatch is None or self._code is not None:
            self.connection_lost(reason)
            return
        self.local_ended = self.remote_ended = self.ending = False
        self._send_request(again)
        self.end()
        self._redispatch(self)

    async def wait_for_connection(self) -> None:
        """Waits until the call was sent.

        Raises:
            AioRpcError: it could not be.
        """
        while not self._started and self._code is None:
            await wait_in(self._waiters)
        if self._code is not None:
            self._raise_for_status()

    def read_message(self) -> Any:
        """The next response; there has to be one."""
        raw = self.take()
        if self._deserialize is None:
            return raw
        try:
            return self._deserialize(raw)
        except Exception:  # noqa: BLE001 # like grpc.aio, which gives None for bytes that are no message of the type
            _LOG.exception("a response cannot be read")
            return None

    # One request.

    def send_only(self, request: Any) -> None:
        """Sends the one request of the call."""
        raw = request if self._serialize is None or isinstance(request, bytes) else self._serialize(request)
        self._again = raw
        self._send_request(raw)
        self.end()

    def _send_request(self, raw: bytes) -> None:
        if len(raw) > self._limit:
            reason = f"Sent message larger than max ({len(raw)} vs. {self._limit})"
            self._complete(grpc.StatusCode.RESOURCE_EXHAUSTED, reason)
            self._let_go(h2.CANCEL)
            return
        self.send(raw)

    # One response.

    def __await__(self) -> Generator[Any, None, Any]:
        return self._response().__await__()

    async def _response(self) -> Any:
        try:
            await self._over()
        except asyncio.CancelledError:
            self.cancel()
            raise
        self._raise_for_status()
        if len(self.messages) != 1:
            self._code = grpc.StatusCode.UNIMPLEMENTED
            self._details = f"the method gives one response, and {len(self.messages)} came"
            raise self._error()
        return self.read_message()

    # Many responses.

    def __aiter__(self) -> AsyncIterator[Any]:
        # Not kept: what a call keeps of itself is left to the collector.
        return _Responses(self)

    async def read(self) -> Any:
        """The next response; EOF after the last.

        Raises:
            AioRpcError: the call failed.
        """
        if self.messages or await self.more_or_cancel():
            return self.read_message()
        await self._over()
        self._raise_for_status()
        return grpc.aio.EOF

    async def more_or_cancel(self) -> bool:
        """Like `more`; a reader that is cancelled cancels the call."""
        try:
            return await self.more()
        except asyncio.CancelledError:
            self.cancel()
            raise

    # Many requests.

    def send_all(self, requests: AsyncIterable[Any] | Iterable[Any]) -> None:
        """Sends what the iterator gives, in a task that the call owns."""
        self._poller = self._loop.create_task(self._poll(requests))

    async def _poll(self, requests: AsyncIterable[Any] | Iterable[Any]) -> None:
        try:
            if isinstance(requests, AsyncIterable):
                async for request in requests:
                    await self._write(request)
            else:
                for request in requests:
                    await self._write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return
        except asyncio.CancelledError:
            self.cancel()
            raise
        except Exception:  # noqa: BLE001 # like grpc.aio: what an iterator raises cancels the call
            _LOG.exception("the iterator of the requests failed")
            self.cancel()
        else:
            self.end()

    async def write(self, request: Any) -> None:
        """Sends a request; waits while the server takes none.

        Raises:
            AioRpcError: the call failed.
            InvalidStateError: the call is over, or was half-closed.
        """
        if self._poller is not None:
            raise grpc.aio.UsageError("the requests of this call come from its iterator")
        await self._write(request)

    async def _write(self, request: Any) -> None:
        if self._code is not None:
            raise asyncio.InvalidStateError("RPC already finished.")
        if self.ending:
            raise asyncio.InvalidStateError('RPC is half closed after calling "done_writing".')
        try:
            if not self._started:
                await self.wait_for_connection()
            self._send_request(self._serialize(request) if self._serialize else request)
            if self.full:
                await self.room()
        except asyncio.CancelledError:
            self.cancel()
            raise
        if self.done():
            self._raise_for_status()

    async def done_writing(self) -> None:
        """Tells the server that no more requests come."""
        if self._poller is not None:
            raise grpc.aio.UsageError("the requests of this call come from its iterator")
        if self._code is None and not self.ending:
            self.end()

    # Pushed responses.

    def push_to(self, on_message: Callable[[bytes], None]) -> None:
        """Gives each response's bytes to the callback as it comes."""
        self._on_message = on_message
        self.sink = self._push

    def _push(self, message: bytes) -> None:
        assert self._on_message is not None  # noqa: S101 # set with the sink
        try:
            self._on_message(message)
        except Exception as error:  # noqa: BLE001 # the callback is foreign code in the middle of a connection of many calls
            self._fault = error
            self.messages.clear()
            self._complete(grpc.StatusCode.UNKNOWN, f"the receiver failed: {error}")
            self._let_go(h2.CANCEL)

    def pause(self) -> None:
        """Takes no more; what is under way waits, at most a window of it."""
        self.sink = None

    def resume(self) -> None:
        """Takes what waits, and goes on."""
        self.sink = self._push
        while self.messages and self.sink is not None:
            self._push(self.take())
        if not self.messages:
            wake_all(self._waiters)

    async def ended(self) -> None:
        """Returns when the call is over, well or by `cancel`, and nothing waits.

        Raises:
            AioRpcError: the call failed.
        """
        try:
            while self._code is None or self.messages:
                await wait_in(self._waiters)
        except asyncio.CancelledError:
            self.cancel()
            raise
        finally:
            # Who is given the messages has the call, and would wait with it for the collector.
            self.sink = self._on_message = None
        if not self._cancelled:
            self._raise_for_status()


class _Responses:
    """The responses of a streaming call."""

    __slots__ = ("_call",)

    def __init__(self, call: ClientCall) -> None:
        self._call = call

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        call = self._call
        if call.messages or await call.more_or_cancel():
            return call.read_message()
        await call.end_well()
        raise StopAsyncIteration


class UnaryUnaryCall(ClientCall, grpc.aio.UnaryUnaryCall[Any, Any]):
    """One request, one response."""


class UnaryStreamCall(ClientCall, grpc.aio.UnaryStreamCall[Any, Any]):
    """One request, many responses."""


class StreamUnaryCall(ClientCall, grpc.aio.StreamUnaryCall[Any, Any]):
    """Many requests, one response."""


class StreamStreamCall(ClientCall, grpc.aio.StreamStreamCall[Any, Any]):
    """Many requests, many responses."""


def request_head(method: bytes, authority: str, user_agent: str) -> bytes:
    """The constant part of a request's header block."""
    return encode_block(
        [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", method),
            (b":authority", authority.encode()),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"user-agent", user_agent.encode()),
            (b"grpc-accept-encoding", b"identity,deflate,gzip"),
        ]
    )
