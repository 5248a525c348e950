"""One call as the server runs it: the request, the task of its handler, and how it ends."""

from __future__ import annotations

import asyncio
import inspect
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

from lmos_grpc.http2 import frames as h2
from lmos_grpc.http2.frames import StreamFaultError
from lmos_grpc.http2.request_head import check_trailers
from lmos_grpc.http2.server_context import ServerContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from lmos_grpc.http2.metadata import Field
    from lmos_grpc.http2.server import Http2Server

    # Any: one class serves every request and response type.
    Handler = grpc.RpcMethodHandler[Any, Any]

_LOG = logging.getLogger(__name__)

_BEHAVIOURS: Final = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}


class ServerCall(ServerContext):
    """A call from its first header to its status; made by the server for a connection."""

    __slots__ = ("_handler", "_server", "method")

    def __init__(
        self,
        server: Http2Server,
        *,
        peer: str,
        method: str,
        fields: list[Field],
        handler: Handler | None,
        timeout: float | None,
    ) -> None:
        super().__init__(peer, fields, timeout=timeout, max_message_bytes=server.limits.max_message_bytes)
        self._server = server
        self.method = method
        self._handler = handler
        if timeout is not None:
            self._timer = server.loop.call_later(timeout, self._deadline_passed)
        if handler is None or handler.request_streaming:
            self._start()

    # What the connection tells.

    def headers_came(self, fields: list[Field]) -> None:
        """Trailers of the request: nothing in gRPC."""
        if not self.remote_ended:
            raise StreamFaultError(h2.PROTOCOL_ERROR, "a second header block that does not end the stream")
        check_trailers(fields)

    def end_came(self) -> None:
        """The request is whole."""
        if self.cut_short:
            self._fail(grpc.StatusCode.INTERNAL, "the request ends in the middle of a message")
        elif self._task is None and not self._over:
            if len(self.messages) == 1:
                self._start()
            else:
                reason = f"the method takes one request message, and {len(self.messages)} came"
                self._fail(grpc.StatusCode.UNIMPLEMENTED, reason)

    def reset_came(self, code: int) -> None:  # noqa: ARG002 # gone is gone
        """The caller has gone."""
        self._leave()

    def connection_lost(self, reason: str) -> None:  # noqa: ARG002 # gone is gone
        """The caller has gone."""
        self._leave()

    def _leave(self) -> None:
        if not self._over:
            self._gone = True
            self._end()
        self._cancel()

    def message_refused(self, code: grpc.StatusCode, reason: str) -> None:
        """A message is too large or cannot be decompressed."""
        self._fail(code, reason)

    # The life of the call.

    def _start(self) -> None:
        # An empty context: what was current when the server was started is nobody's parent.
        self._task = self._server.start_call(self, self._run())

    async def _run(self) -> None:
        try:
            handler = await self._server.handler_of(self._handler, self.method, self.invocation_metadata)
            if handler is None:
                self._finish(grpc.StatusCode.UNIMPLEMENTED, "Method not found!", ())
            else:
                await self._behave(handler)
        except grpc.aio.AbortError:
            if not self._over:
                raise
        except asyncio.CancelledError:
            self._finish(grpc.StatusCode.CANCELLED, "the handler was cancelled", ())
            raise
        except Exception as error:  # noqa: BLE001 # the edge: whatever was raised has to leave as a status
            if not self._over:
                _LOG.exception("a handler of %s failed", self.method)
            code = self._code if self._code not in (None, grpc.StatusCode.OK) else grpc.StatusCode.UNKNOWN
            self._finish(code, f"Unexpected {type(error)}: {error}", self._trailing)

    async def _behave(self, handler: Handler) -> None:
        self._serialize = handler.response_serializer
        self._deserialize = read = handler.request_deserializer
        request: Any
        if handler.request_streaming:
            request = _Requests(self, read)
        else:
            raw = self.take()
            request = read(raw) if read else raw
        # Any: the stubs type the four kinds apart.
        behave: Any = getattr(handler, _BEHAVIOURS[handler.request_streaming, handler.response_streaming])
        if handler.response_streaming:
            await self._answer_many(behave(request, self))
        else:
            self._answer(await behave(request, self))

    async def _answer_many(self, responses: Any) -> None:
        if inspect.isasyncgen(responses):
            # A generator that is left to the collector cleans up late.
            async with aclosing(responses):
                async for response in responses:
                    await self.write(response)
        elif hasattr(responses, "__aiter__"):
            async for response in responses:
                await self.write(response)
        else:
            await responses
        self._finish(self._code or grpc.StatusCode.OK, self._details, self._trailing)

    def _answer(self, response: Any) -> None:
        code = self._code or grpc.StatusCode.OK
        if code is grpc.StatusCode.OK and not self._over:
            self.put(self._serialize(response) if self._serialize else response)
        self._finish(code, self._details, self._trailing)

    def _deadline_passed(self) -> None:
        self._fail(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")

    def cut_off(self) -> None:
        """The server stops: the call ends now."""
        self._fail(grpc.StatusCode.UNAVAILABLE, "the server is shutting down")


class _Requests:
    """The requests of a streaming call."""

    __slots__ = ("_call", "_read")

    def __init__(self, call: ServerCall, read: Callable[[bytes], Any] | None) -> None:
        self._call = call
        self._read = read

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        call = self._call
        if not call.messages and not await call.more():
            raise StopAsyncIteration
        raw = call.take()
        return self._read(raw) if self._read else raw
