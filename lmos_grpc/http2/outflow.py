"""The sending half of a connection without its socket: frames out, flow control, and the streams there are."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from lmos_grpc.http2 import frames as h2
from lmos_grpc.http2.frames import ConnectionFaultError
from lmos_grpc.http2.header_encoding import NO_DYNAMIC_TABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.http2.flood_guard import FloodGuard
    from lmos_grpc.http2.limits import Limits
    from lmos_grpc.http2.stream import Stream

# Streams that ended lately, so that what was already under way for them is told from what breaks the rules.
_REMEMBERED: Final = 1_024
# So much DATA is given to the transport at once; then others have a turn.
_PULL_BYTES: Final = 256 * 1024


class Outflow:
    """What both ends say. `wake` is called when there is something to `pull`."""

    def __init__(self, limits: Limits, wake: Callable[[], None], guard: FloodGuard) -> None:
        self.limits = limits
        self.wake = wake
        self.wire = bytearray()
        self.streams: dict[int, Stream] = {}
        self.closing = False  # after GOAWAY with an error, or when both ends are done
        self.draining = False  # no new streams
        self.send_window = h2.DEFAULT_WINDOW
        self.peer_window = h2.DEFAULT_WINDOW
        self.peer_max_frame = h2.DEFAULT_FRAME_SIZE
        self.paused = False  # the transport has enough
        self._guard = guard
        self._ready: deque[Stream] = deque()
        self._closed: dict[int, bool] = {}  # stream id -> whether we were the one who reset it
        self._last_peer_stream = 0
        self._awaited_ping = b""
        self._say_no_table = True
        self._answers_bytes = 0
        self._hangs_up = False  # whether the end of our direction is the end of the stream

    def greet(self, settings: dict[int, int]) -> None:
        """Our SETTINGS, first of all frames, and the connection's window."""
        said = {
            **settings,
            h2.INITIAL_WINDOW_SIZE: self.limits.stream_window_bytes,
            h2.MAX_HEADER_LIST_SIZE: self.limits.max_header_list_bytes,
        }
        self.wire += h2.settings_frame(said)
        if (more := self.limits.connection_window_bytes - h2.DEFAULT_WINDOW) > 0:
            self.wire += h2.window_update_frame(0, more)
        self.wake()

    def queue(self, stream: Stream) -> None:
        """Puts a stream into the queue of those that have something to send."""
        stream.queued = True
        self._ready.append(stream)
        self.wake()

    def send_headers(self, stream: Stream, block: bytes, *, end: bool) -> None:
        """Writes a header block at once."""
        if self._say_no_table:
            block = NO_DYNAMIC_TABLE + block
            self._say_no_table = False
        if len(block) <= self.peer_max_frame:
            flags = h2.END_HEADERS | h2.END_STREAM if end else h2.END_HEADERS
            self.wire += h2.HEAD.pack(len(block) >> 8, len(block) & 0xFF, h2.HEADERS, flags, stream.id)
            self.wire += block
        else:
            self.wire += h2.header_frames(stream.id, block, end_stream=end, max_frame=self.peer_max_frame)
        self.wake()
        if end:
            self._local_end(stream)

    def reset(self, stream: Stream, code: int) -> None:
        """Ends a stream before its time, and forgets it."""
        if stream.connection is self:
            self.wire += h2.reset_frame(stream.id, code)
            self._forget(stream, reset_by_us=True)
            self.wake()

    def pull(self) -> bytearray | None:
        """What is to be written now; None if there is nothing."""
        if self.paused:
            return None
        if self._ready:
            if self.send_window > 0:
                self._fill()
            else:
                self._fill_ends()
        wire = self.wire
        if not wire:
            return None
        self.wire = bytearray()
        self._answers_bytes = 0
        return wire

    @property
    def has_more(self) -> bool:
        """Whether another `pull` would give something."""
        return not self.paused and (bool(self.wire) or (bool(self._ready) and self.send_window > 0))

    def _fill(self) -> None:
        ready, wire = self._ready, self.wire
        budget = _PULL_BYTES
        while ready and budget > 0:
            stream = ready.popleft()
            stream.queued = False
            out = stream.out
            size = min(len(out), stream.send_window, self.send_window, self.peer_max_frame)
            if size > 0:
                self._write_data(stream, out, size, wire)
                budget -= size
            if stream.ending and not stream.out:
                self._write_end(stream)
            elif stream.out and stream.send_window > 0:
                stream.queued = True
                ready.append(stream)
                if self.send_window <= 0:
                    return

    def _write_data(self, stream: Stream, out: bytearray, size: int, wire: bytearray) -> None:
        whole = size == len(out)
        last = whole and stream.ending and not stream.trailers
        wire += h2.HEAD.pack(size >> 8, size & 0xFF, h2.DATA, h2.END_STREAM if last else 0, stream.id)
        if whole:
            wire += out
            stream.out = bytearray()
        else:
            wire += out[:size]
            del out[:size]
        stream.send_window -= size
        self.send_window -= size
        stream.local_ended = last
        stream.sent_some()

    def _write_end(self, stream: Stream) -> None:
        if stream.local_ended:
            self._local_end(stream)
        elif stream.trailers:
            self.send_headers(stream, stream.trailers, end=True)
        else:
            self.wire += h2.head(0, h2.DATA, h2.END_STREAM, stream.id)
            self._local_end(stream)

    def _fill_ends(self) -> None:
        # The window is closed; what needs none may pass.
        for stream in [each for each in self._ready if each.ending and not each.out]:
            self._ready.remove(stream)
            stream.queued = False
            self._write_end(stream)

    def _local_end(self, stream: Stream) -> None:
        stream.local_ended = True
        if stream.remote_ended:
            self._end_well(stream)
        elif self._hangs_up:
            self.reset(stream, h2.NO_ERROR)

    def _forget(self, stream: Stream, *, reset_by_us: bool) -> None:
        del self.streams[stream.id]
        self._remember(stream.id, reset_by_us=reset_by_us)
        if stream.queued:
            self._ready.remove(stream)
            stream.queued = False
        stream.forgotten()
        self.stream_closed()

    def _remember(self, stream_id: int, *, reset_by_us: bool) -> None:
        if len(self._closed) >= _REMEMBERED:
            del self._closed[next(iter(self._closed))]
        self._closed[stream_id] = reset_by_us

    def stream_closed(self) -> None:
        """A stream was forgotten."""

    def _end_well(self, stream: Stream) -> None:
        self._guard.sense(2)
        self._forget(stream, reset_by_us=False)

    def _was_closed(self, stream_id: int) -> bool | None:
        """Whether we reset a stream that ended lately; None for others."""
        return self._closed.get(stream_id)

    def ping(self, payload: bytes) -> None:
        """Asks whether the peer is there; `ping_answered` tells."""
        self._awaited_ping = payload
        self.wire += h2.ping_frame(payload, ack=False)
        self.wake()

    def _answer(self, frame: bytes) -> None:
        self.wire += frame
        self._answers_bytes += len(frame)
        if self._answers_bytes > self.limits.max_waiting_control_bytes:
            raise ConnectionFaultError(h2.ENHANCE_YOUR_CALM, "answers that nobody takes")
        self.wake()
