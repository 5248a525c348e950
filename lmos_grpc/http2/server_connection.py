"""The server's end of a connection: opens calls, drains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lmos_grpc.http2 import frames as h2
from lmos_grpc.http2.connection import Connection
from lmos_grpc.http2.frames import ConnectionFaultError, StreamFaultError
from lmos_grpc.http2.refusal import RefusedRequest
from lmos_grpc.http2.request_head import read_head, size_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.http2.limits import Limits
    from lmos_grpc.http2.metadata import Field
    from lmos_grpc.http2.request_head import RequestHead
    from lmos_grpc.http2.stream import Stream

_DRAIN_PING = b"lmosdrai"


class OpenCall(Protocol):
    """Makes the stream of a gRPC request."""

    def __call__(self, head: RequestHead, fields: list[Field], /) -> Stream:
        """The stream; `opened` is called when the connection knows it."""


class ServerConnection(Connection):
    """A connection whose peer opens the streams."""

    def __init__(
        self, limits: Limits, wake: Callable[[], None], clock: Callable[[], float], open_call: OpenCall
    ) -> None:
        super().__init__(limits, wake, clock)
        self._open_call = open_call
        self._preface = h2.PREFACE
        self._hangs_up = True  # after its status a call needs no more requests (gRPC over HTTP/2, Responses)
        self.greet({h2.MAX_CONCURRENT_STREAMS: limits.max_concurrent_streams})

    def receive(self, data: bytes) -> None:
        """Takes what the socket gave; the preface first."""
        if self._preface and not self.closing:
            got = data[: len(self._preface)]
            if not self._preface.startswith(got):
                self.fail(h2.PROTOCOL_ERROR, "this is no HTTP/2")
                return
            self._preface = self._preface[len(got) :]
            data = data[len(got) :]
        if data:
            super().receive(data)

    def drain(self) -> None:
        """Takes no new streams. Streams that are under way now still come in (RFC 9113, 6.8)."""
        if self.draining:
            self.stream_closed()
        else:
            self.wire += h2.goaway_frame(h2.LAST_STREAM_ID, h2.NO_ERROR, "going away")
            self.ping(_DRAIN_PING)

    def finish(self) -> None:
        """Says which streams were seen, and that it is over."""
        if not self.closing:
            self.wire += h2.goaway_frame(self._last_peer_stream, h2.NO_ERROR, "going away")
            self.lost("the server is shutting down")

    def ping_answered(self, payload: bytes) -> None:
        """The peer has heard that no new streams are taken."""
        if payload == _DRAIN_PING and not self.draining:
            self.draining = True
            self.wire += h2.goaway_frame(self._last_peer_stream, h2.NO_ERROR, "going away")
            self.wake()
            self.stream_closed()

    def stream_closed(self) -> None:
        """The last stream of a connection that drains was its end."""
        if self.draining and not self.streams:
            self.closing = True
            self.wake()

    def goaway_came(self, last_stream_id: int, code: int, reason: str) -> None:  # noqa: ARG002 # we open none
        """The client opens no more streams."""
        # With nothing open it hangs up itself: closed by us, what it has just sent would be answered by a reset.
        self.draining = True

    def open_stream(self, stream_id: int, fields: list[Field], *, end: bool) -> None:
        """A request came."""
        if stream_id <= self._last_peer_stream or not stream_id & 1:
            self._no_new_stream(stream_id)
            return
        self._last_peer_stream = stream_id
        if self.draining:
            self._remember(stream_id, reset_by_us=True)
            return
        if len(self.streams) >= self.limits.max_concurrent_streams:
            raise StreamFaultError(h2.REFUSED_STREAM, "too many streams at once")
        head = read_head(fields)
        stream = self._stream(head, fields)
        stream.id, stream.connection = stream_id, self
        stream.send_window = self.peer_window
        stream.receive_window = self.limits.stream_window_bytes
        stream.encoding = head.encoding
        self.streams[stream_id] = stream
        if end:
            self._remote_end(stream)

    def _stream(self, head: RequestHead, fields: list[Field]) -> Stream:
        if size_of(fields) > self.limits.max_header_list_bytes:
            return RefusedRequest(431, "the headers are too large", head)
        if head.method != b"POST":
            return RefusedRequest(405, "gRPC calls are POST requests", head)
        if not head.is_grpc:
            return RefusedRequest(415, "gRPC calls have the content type application/grpc", head)
        return self._open_call(head, fields)

    def _no_new_stream(self, stream_id: int) -> None:
        reset_by_us = self._was_closed(stream_id)
        if reset_by_us is None:
            raise ConnectionFaultError(h2.PROTOCOL_ERROR, f"stream {stream_id} cannot be opened")
        if not reset_by_us:
            raise ConnectionFaultError(h2.STREAM_CLOSED, "HEADERS on a stream that has ended")
