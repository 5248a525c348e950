"""One HTTP/2 connection without its socket: frames in, frames out, flow control, and what a peer may not do."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from lmos_grpc.http2 import frames as h2
from lmos_grpc.http2.frames import ConnectionFaultError, StreamFaultError
from lmos_grpc.http2.header_decoding import HeaderBlockError, HeaderDecoder
from lmos_grpc.http2.header_encoding import NO_DYNAMIC_TABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.http2.limits import Limits
    from lmos_grpc.http2.metadata import Field
    from lmos_grpc.http2.stream import Stream

# Streams that ended lately, so that what was already under way for them is told from what breaks the rules.
_REMEMBERED: Final = 1_024
# So much DATA is given to the transport at once; then others have a turn.
_PULL_BYTES: Final = 256 * 1024
_STREAM_MASK: Final = 0x7FFF_FFFF


class Connection:
    """The rules that both ends share. `wake` is called when there is something to `pull`."""

    def __init__(self, limits: Limits, wake: Callable[[], None], clock: Callable[[], float]) -> None:
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
        self._clock = clock
        self._ready: deque[Stream] = deque()
        self._closed: dict[int, bool] = {}  # stream id -> whether we were the one who reset it
        self._receive_window = limits.connection_window_bytes
        self._last_peer_stream = 0
        self._rest = b""
        self._decoder = HeaderDecoder(max_list_bytes=limits.max_header_list_bytes * 2)
        self._block: bytearray | None = None
        self._block_stream = 0
        self._block_flags = 0
        self._block_frames = 0
        self._first_frame = True
        self._nuisances = float(limits.nuisance_burst)
        self._nuisances_at = clock()
        self._awaited_ping = b""
        self._say_no_table = True
        self._answers_bytes = 0
        self._handlers = {
            h2.HEADERS: self._headers_came,
            h2.PRIORITY: self._priority_came,
            h2.RST_STREAM: self._reset_came,
            h2.SETTINGS: self._settings_came,
            h2.PUSH_PROMISE: self._push_came,
            h2.PING: self._ping_came,
            h2.GOAWAY: self._goaway_came,
            h2.WINDOW_UPDATE: self._window_came,
            h2.CONTINUATION: self._continuation_came,
        }
        self._hangs_up = False  # whether the end of our direction is the end of the stream

    # Sending.

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

    # Receiving.

    def receive(self, data: bytes) -> None:
        """Takes what the socket gave."""
        if self.closing:
            return
        try:
            self._frames_came(self._rest + data if self._rest else data)
        except ConnectionFaultError as fault:
            self.fail(fault.code, fault.reason)

    def fail(self, code: int, reason: str) -> None:
        """Ends the connection with GOAWAY; every stream with it."""
        if not self.closing:
            self.wire += h2.goaway_frame(self._last_peer_stream, code, reason)
            self.lost(reason)
            self.wake()

    def lost(self, reason: str) -> None:
        """The connection is over: every stream hears it."""
        self.closing = True
        self.draining = True
        self._ready.clear()
        self._rest = b""
        streams = list(self.streams.values())
        self.streams.clear()
        for stream in streams:
            stream.queued = False
            stream.forgotten()
            stream.connection_lost(reason)

    def ping(self, payload: bytes) -> None:
        """Asks whether the peer is there; `ping_answered` tells."""
        self._awaited_ping = payload
        self.wire += h2.ping_frame(payload, ack=False)
        self.wake()

    def ping_answered(self, payload: bytes) -> None:
        """The answer to a ping came."""

    def open_stream(self, stream_id: int, fields: list[Field], *, end: bool) -> None:
        """The peer opens a stream."""
        raise NotImplementedError

    def goaway_came(self, last_stream_id: int, code: int, reason: str) -> None:
        """The peer takes no new streams, and none above the last."""
        raise NotImplementedError

    def settings_came(self, settings: dict[int, int]) -> None:
        """The peer's settings changed."""

    def _frames_came(self, data: bytes) -> None:
        at, end = 0, len(data)
        unpack, largest = h2.HEAD.unpack_from, h2.DEFAULT_FRAME_SIZE
        while end - at >= h2.HEAD_SIZE:
            high, low, kind, flags, stream_id = unpack(data, at)
            size = high << 8 | low
            if size > largest:
                raise ConnectionFaultError(h2.FRAME_SIZE_ERROR, f"a frame of {size} bytes")
            start = at + h2.HEAD_SIZE
            at = start + size
            if at > end:
                at = start - h2.HEAD_SIZE
                break
            if kind == h2.DATA and self._block is None and not self._first_frame:
                self._data_came(stream_id & _STREAM_MASK, flags, data, start, at)
            else:
                self._other_came(kind, flags, stream_id & _STREAM_MASK, data[start:at])
            if self.closing:
                return
        self._rest = data[at:]

    def _data_came(  # noqa: C901 # the hot path is flat
        self, stream_id: int, flags: int, data: bytes, start: int, stop: int
    ) -> None:
        size = stop - start
        self._receive_window -= size
        if self._receive_window << 1 < self.limits.connection_window_bytes:
            self._grant()
        stream = self.streams.get(stream_id)
        if stream is None:
            self._strange_frame(stream_id, h2.DATA)
            return
        stream.receive_window -= size
        try:
            if stream.remote_ended:
                raise StreamFaultError(h2.STREAM_CLOSED, "DATA after the end of the stream")  # noqa: TRY301 # the hot path is flat
            if stream.receive_window < 0:
                raise StreamFaultError(h2.FLOW_CONTROL_ERROR, "more DATA than the stream's window")  # noqa: TRY301 # same
            if flags & h2.PADDED:
                start, stop = _unpadded(data, start, stop)
            if start < stop:
                if self._nuisances < self.limits.nuisance_burst:
                    self._nuisances += 1
                stream.data_came(data, start, stop)
            elif not flags & h2.END_STREAM:
                self._nuisance()
            if flags & h2.END_STREAM and stream.connection is not None:
                self._remote_end(stream)
        except StreamFaultError as fault:
            self._stream_fault(stream_id, fault)

    def _grant(self) -> None:
        if self._receive_window < 0:
            raise ConnectionFaultError(h2.FLOW_CONTROL_ERROR, "more DATA than the window of the connection allows")
        room = self.limits.connection_window_bytes - self._receive_window
        self._receive_window += room
        self.wire += h2.window_update_frame(0, room)
        self.wake()

    def _remote_end(self, stream: Stream) -> None:
        stream.remote_ended = True
        ended = stream.local_ended
        stream.end_came()
        stream.no_more()
        if ended and stream.connection is not None:
            self._end_well(stream)

    def _end_well(self, stream: Stream) -> None:
        if self._nuisances < self.limits.nuisance_burst:
            self._nuisances += 2
        self._forget(stream, reset_by_us=False)

    def _stream_fault(self, stream_id: int, fault: StreamFaultError) -> None:
        self._nuisance()
        stream = self.streams.get(stream_id)
        self.wire += h2.reset_frame(stream_id, fault.code)
        self.wake()
        if stream is None:
            self._remember(stream_id, reset_by_us=True)
            return
        self._forget(stream, reset_by_us=True)
        stream.reset_came(fault.code)

    def _other_came(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if self._first_frame:
            if kind != h2.SETTINGS or flags & h2.ACK:
                raise ConnectionFaultError(h2.PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self._first_frame = False
        if self._block is not None and (kind != h2.CONTINUATION or stream_id != self._block_stream):
            raise ConnectionFaultError(h2.PROTOCOL_ERROR, "a header block was interrupted")
        handler = self._handlers.get(kind)
        if handler is not None:
            try:
                handler(flags, stream_id, payload)
            except StreamFaultError as fault:
                self._stream_fault(stream_id, fault)
        else:
            self._nuisance()

    def _headers_came(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            raise ConnectionFaultError(h2.PROTOCOL_ERROR, "HEADERS on stream 0")
        start, stop = 0, len(payload)
        if flags & h2.PADDED:
            start, stop = _unpadded(payload, start, stop)
        depends_on = -1
        if flags & h2.WITH_PRIORITY:
            if stop - start < _PRIORITY_SIZE:
                raise ConnectionFaultError(h2.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            depends_on = int.from_bytes(payload[start : start + 4]) & _STREAM_MASK
            start += _PRIORITY_SIZE
        if depends_on == stream_id:
            flags |= _DEPENDS_ON_ITSELF
        if flags & h2.END_HEADERS:
            self._block_came(stream_id, flags, payload[start:stop])
            return
        self._block = bytearray(payload[start:stop])
        self._block_stream, self._block_flags, self._block_frames = stream_id, flags, 0

    def _continuation_came(self, flags: int, _stream_id: int, payload: bytes) -> None:
        if self._block is None:
            raise ConnectionFaultError(h2.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        self._block += payload
        self._block_frames += 1
        too_long = len(self._block) > self.limits.max_header_list_bytes * 2
        if too_long or self._block_frames > self.limits.max_continuations:
            raise ConnectionFaultError(h2.ENHANCE_YOUR_CALM, "a header block without end")
        if flags & h2.END_HEADERS:
            block, self._block = bytes(self._block), None
            self._block_came(self._block_stream, self._block_flags, block)

    def _block_came(self, stream_id: int, flags: int, block: bytes) -> None:
        # Decoded whatever becomes of it: the table is one for the connection.
        fields = self._decoded(block)
        end = bool(flags & h2.END_STREAM)
        stream = self.streams.get(stream_id)
        if flags & _DEPENDS_ON_ITSELF:
            self._last_peer_stream = max(self._last_peer_stream, stream_id)
            raise StreamFaultError(h2.PROTOCOL_ERROR, "a stream that depends on itself")
        if stream is None:
            self.open_stream(stream_id, fields, end=end)
            return
        if stream.remote_ended:
            raise StreamFaultError(h2.STREAM_CLOSED, "HEADERS after the end of the stream")
        if end:
            stream.remote_ended = True
        stream.headers_came(fields)
        if end and stream.connection is not None:
            self._remote_end(stream)

    def _decoded(self, block: bytes) -> list[Field]:
        try:
            return self._decoder.decode(block)
        except HeaderBlockError as error:
            raise ConnectionFaultError(h2.COMPRESSION_ERROR, f"a header block cannot be decoded: {error}") from error

    def _priority_came(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._nuisance()
        if not stream_id:
            raise ConnectionFaultError(h2.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != _PRIORITY_SIZE:
            raise StreamFaultError(h2.FRAME_SIZE_ERROR, "PRIORITY is not five bytes")
        if int.from_bytes(payload[:4]) & _STREAM_MASK == stream_id:
            raise StreamFaultError(h2.PROTOCOL_ERROR, "a stream that depends on itself")

    def _reset_came(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != _FOUR:
            raise ConnectionFaultError(h2.FRAME_SIZE_ERROR, "RST_STREAM is not four bytes")
        stream = self.streams.get(stream_id)
        if stream is None:
            self._strange_frame(stream_id, h2.RST_STREAM)
            return
        # Twice: its HEADERS cost us, too, and DATA between the two shall not pay for both.
        self._nuisance()
        self._nuisance()
        self._forget(stream, reset_by_us=False)
        stream.reset_came(int.from_bytes(payload))

    def _settings_came(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFaultError(h2.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & h2.ACK:
            if payload:
                raise ConnectionFaultError(h2.FRAME_SIZE_ERROR, "an answer to SETTINGS that says something")
            return
        if len(payload) % _SETTING_SIZE:
            raise ConnectionFaultError(h2.FRAME_SIZE_ERROR, "SETTINGS of half a setting")
        self._nuisance()
        said: dict[int, int] = {}
        for at in range(0, len(payload), _SETTING_SIZE):
            key, value = int.from_bytes(payload[at : at + 2]), int.from_bytes(payload[at + 2 : at + 6])
            said[key] = value
            self._apply(key, value)
        self._answer(h2.SETTINGS_ACK)
        self.settings_came(said)

    def _apply(self, key: int, value: int) -> None:
        if key == h2.INITIAL_WINDOW_SIZE:
            if value > h2.MAX_WINDOW:
                raise ConnectionFaultError(h2.FLOW_CONTROL_ERROR, f"SETTINGS_INITIAL_WINDOW_SIZE {value}")
            change, self.peer_window = value - self.peer_window, value
            for stream in self.streams.values():
                self._widen(stream, change)
        elif key == h2.MAX_FRAME_SIZE:
            if not h2.DEFAULT_FRAME_SIZE <= value <= h2.LARGEST_FRAME_SIZE:
                raise ConnectionFaultError(h2.PROTOCOL_ERROR, f"SETTINGS_MAX_FRAME_SIZE {value}")
            self.peer_max_frame = value
        elif key == h2.ENABLE_PUSH and value not in (0, 1):
            raise ConnectionFaultError(h2.PROTOCOL_ERROR, f"SETTINGS_ENABLE_PUSH {value}")

    def _widen(self, stream: Stream, change: int) -> None:
        stream.send_window += change
        if stream.send_window > h2.MAX_WINDOW:
            raise ConnectionFaultError(h2.FLOW_CONTROL_ERROR, "the window of a stream above 2^31-1")
        if stream.send_window > 0 and stream.out and not stream.queued:
            self.queue(stream)

    def _push_came(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise ConnectionFaultError(h2.PROTOCOL_ERROR, "PUSH_PROMISE")

    def _ping_came(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFaultError(h2.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != _PING_SIZE:
            raise ConnectionFaultError(h2.FRAME_SIZE_ERROR, "PING is not eight bytes")
        if not flags & h2.ACK:
            self._nuisance()
            self._answer(h2.ping_frame(payload, ack=True))
        elif payload == self._awaited_ping:
            self._awaited_ping = b""
            self.ping_answered(payload)

    def _goaway_came(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFaultError(h2.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < _GOAWAY_SIZE:
            raise ConnectionFaultError(h2.FRAME_SIZE_ERROR, "GOAWAY is shorter than eight bytes")
        last = int.from_bytes(payload[:4]) & _STREAM_MASK
        self.goaway_came(last, int.from_bytes(payload[4:8]), payload[8:264].decode(errors="replace"))

    def _window_came(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != _FOUR:
            raise ConnectionFaultError(h2.FRAME_SIZE_ERROR, "WINDOW_UPDATE is not four bytes")
        change = int.from_bytes(payload) & _STREAM_MASK
        if not stream_id:
            if not change:
                raise ConnectionFaultError(h2.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
            self.send_window += change
            if self.send_window > h2.MAX_WINDOW:
                raise ConnectionFaultError(h2.FLOW_CONTROL_ERROR, "the window of the connection above 2^31-1")
            if self._ready:
                self.wake()
            return
        stream = self.streams.get(stream_id)
        if stream is None:
            self._strange_frame(stream_id, h2.WINDOW_UPDATE)
            return
        if not change:
            raise StreamFaultError(h2.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
        if stream.send_window + change > h2.MAX_WINDOW:
            raise StreamFaultError(h2.FLOW_CONTROL_ERROR, "the window of a stream above 2^31-1")
        self._widen(stream, change)

    def _strange_frame(self, stream_id: int, kind: int) -> None:
        """A frame on a stream that is not open."""
        if not stream_id or not self._was_opened(stream_id):
            raise ConnectionFaultError(h2.PROTOCOL_ERROR, f"frame {kind} on stream {stream_id}, which is not open")
        if kind == h2.DATA and not self._closed.get(stream_id, False):
            # Not `raise`: there is no stream to forget.
            self._nuisance()
            self.wire += h2.reset_frame(stream_id, h2.STREAM_CLOSED)
            self.wake()

    def _was_opened(self, stream_id: int) -> bool:
        return stream_id <= self._last_peer_stream

    def _was_closed(self, stream_id: int) -> bool | None:
        """Whether we reset a stream that ended lately; None for others."""
        return self._closed.get(stream_id)

    def _answer(self, frame: bytes) -> None:
        self.wire += frame
        self._answers_bytes += len(frame)
        if self._answers_bytes > self.limits.max_waiting_control_bytes:
            raise ConnectionFaultError(h2.ENHANCE_YOUR_CALM, "answers that nobody takes")
        self.wake()

    def _nuisance(self) -> None:
        """A frame that costs us and gives the peer nothing; too many beside what makes sense are a flood.

        DATA and streams that end well make up for some: a grpc-go server, say, sends a PING with each read.
        """
        self._nuisances -= 1
        if self._nuisances > 0:
            return
        now = self._clock()
        burst, rate = self.limits.nuisance_burst, self.limits.nuisances_per_second
        self._nuisances = min(float(burst), (now - self._nuisances_at) * rate)
        self._nuisances_at = now
        if self._nuisances < 1:
            raise ConnectionFaultError(h2.ENHANCE_YOUR_CALM, "too many frames that lead to nothing")


_PRIORITY_SIZE: Final = 5
_SETTING_SIZE: Final = 6
_PING_SIZE: Final = 8
_GOAWAY_SIZE: Final = 8
_FOUR: Final = 4
_DEPENDS_ON_ITSELF: Final = 0x100


def _unpadded(data: bytes, start: int, stop: int) -> tuple[int, int]:
    if start == stop or start + 1 + data[start] > stop:
        raise ConnectionFaultError(h2.PROTOCOL_ERROR, "more padding than payload")
    return start + 1, stop - data[start]
