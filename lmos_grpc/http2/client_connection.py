"""The client's end of a connection: opens streams, hears when no more may be opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos_grpc.http2 import frames as h2
from lmos_grpc.http2.connection import Connection
from lmos_grpc.http2.frames import ConnectionFaultError
from lmos_grpc.http2.reset_budget import ResetBudget

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.http2.limits import Limits
    from lmos_grpc.http2.metadata import Field
    from lmos_grpc.http2.stream import Stream


class ClientConnection(Connection):
    """A connection on which we open the streams.

    `settled` is called once, when the server has said what it takes; `room_changed` when streams may have room.
    """

    def __init__(
        self,
        limits: Limits,
        wake: Callable[[], None],
        clock: Callable[[], float],
        *,
        settled: Callable[[ClientConnection], None],
        room_changed: Callable[[], None],
    ) -> None:
        super().__init__(limits, wake, clock)
        self._tell_settled = settled
        self._tell_room = room_changed
        self._next_stream = 1
        self._peer_streams = 0  # until its SETTINGS came: a server may take few
        self._settled = False
        self._resets = ResetBudget(limits, clock)
        self.wire += h2.PREFACE
        self.greet({h2.ENABLE_PUSH: 0})

    @property
    def has_room(self) -> bool:
        """Whether a stream can be opened."""
        return not self.draining and len(self.streams) < self._peer_streams

    def open(self, stream: Stream, block: bytes) -> None:
        """Opens a stream with this header block, and sends what it has; there has to be room."""
        stream.id = self._next_stream
        self._next_stream += 2
        if self._next_stream > h2.LAST_STREAM_ID:
            self.draining = True
        stream.connection = self
        stream.send_window = self.peer_window
        stream.receive_window = self.limits.stream_window_bytes
        self.streams[stream.id] = stream
        # A request without messages ends with an empty DATA frame, never here (gRPC over HTTP/2, Requests).
        self.send_headers(stream, block, end=False)
        if stream.out or stream.ending:
            self.queue(stream)

    def reset(self, stream: Stream, code: int) -> None:
        """Ends a stream before its time; after too many another connection takes the next calls."""
        if not self._resets.spend():
            self.draining = True
        super().reset(stream, code)

    def open_stream(self, stream_id: int, fields: list[Field], *, end: bool) -> None:  # noqa: ARG002 # no stream takes them
        """A server opens none; a late answer on a stream that we reset is dropped."""
        if not self._was_opened(stream_id):
            raise ConnectionFaultError(h2.PROTOCOL_ERROR, f"HEADERS on stream {stream_id}, which is not open")
        if self._was_closed(stream_id) is False:
            raise ConnectionFaultError(h2.STREAM_CLOSED, "HEADERS on a stream that has ended")

    def _was_opened(self, stream_id: int) -> bool:
        return bool(stream_id & 1) and stream_id < self._next_stream

    def goaway_came(self, last_stream_id: int, code: int, reason: str) -> None:
        """The server takes no more; what it has not looked at may be tried again elsewhere."""
        self.draining = True
        text = f"the server is going away{f' ({reason})' if reason else ''}"
        for stream in [each for each in self.streams.values() if each.id > last_stream_id]:
            self._forget(stream, reset_by_us=True)
            stream.never_seen(f"{text}, and has not seen this call")
        if code not in (h2.NO_ERROR, h2.ENHANCE_YOUR_CALM) and last_stream_id == 0:
            self.lost(text)
        self.stream_closed()

    def stream_closed(self) -> None:
        """The last stream of a connection that drains was its end."""
        if self.draining and not self.streams and not self.closing:
            self.closing = True
            self.wake()
        self._tell_room()

    def settings_came(self, settings: dict[int, int]) -> None:
        """The server may have changed how many streams it takes."""
        before = h2.MAX_WINDOW if not self._settled else self._peer_streams
        self._peer_streams = settings.get(h2.MAX_CONCURRENT_STREAMS, before)
        if not self._settled:
            self._settled = True
            self._tell_settled(self)
        self._tell_room()
