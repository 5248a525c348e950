"""One HTTP/2 connection without its socket: the frames that come, and what a peer may not do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmos_grpc.http2 import frames as h2
from lmos_grpc.http2.flood_guard import FloodGuard
from lmos_grpc.http2.frames import ConnectionFaultError, StreamFaultError
from lmos_grpc.http2.header_decoding import HeaderBlockError, HeaderDecoder
from lmos_grpc.http2.outflow import Outflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.http2.limits import Limits
    from lmos_grpc.http2.metadata import Field
    from lmos_grpc.http2.stream import Stream

_STREAM_MASK: Final = 0x7FFF_FFFF


class Connection(Outflow):
    """The rules that both ends share: what comes in."""

    def __init__(self, limits: Limits, wake: Callable[[], None], clock: Callable[[], float]) -> None:
        super().__init__(limits, wake, FloodGuard(limits, clock))
        self._receive_window = limits.connection_window_bytes
        self._rest = b""
        self._decoder = HeaderDecoder(max_list_bytes=limits.max_header_list_bytes * 2)
        self._block: bytearray | None = None
        self._block_stream = 0
        self._block_flags = 0
        self._block_frames = 0
        self._first_frame = True
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

    def _data_came(  # the hot path is flat
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
                self._guard.sense(1)
                stream.data_came(data, start, stop)
            elif not flags & h2.END_STREAM:
                self._guard.nuisance()
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

    def _stream_fault(self, stream_id: int, fault: StreamFaultError) -> None:
        self._guard.nuisance()
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
            self._guard.nuisance()

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
        self._guard.nuisance()
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
        self._guard.nuisance(2)
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
        self._guard.nuisance()
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
            self._guard.nuisance()
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
            self._guard.nuisance()
            self.wire += h2.reset_frame(stream_id, h2.STREAM_CLOSED)
            self.wake()

    def _was_opened(self, stream_id: int) -> bool:
        return stream_id <= self._last_peer_stream


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
