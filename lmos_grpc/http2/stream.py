"""One stream of a connection: what waits to be sent, and the messages that have come."""

from __future__ import annotations

import asyncio
from collections import deque
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

import grpc

from lmos_grpc.http2.compression import decompress
from lmos_grpc.http2.frames import window_update_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lmos_grpc.http2.connection import Connection
    from lmos_grpc.http2.metadata import Field

_MESSAGE_HEAD: Final = Struct(">BL")
_HEAD_SIZE: Final = 5


class Stream:
    """A stream of gRPC messages in both directions; what comes of them is its subclass's business.

    Everything runs in the event loop's thread, and only `more`, `room` and `flushed` wait.
    """

    __slots__ = (
        "__weakref__",
        "_limit",
        "_partial",
        "_partial_size",
        "_readers",
        "_unread",
        "_writers",
        "connection",
        "encoding",
        "ending",
        "id",
        "local_ended",
        "messages",
        "out",
        "queued",
        "receive_window",
        "remote_ended",
        "send_window",
        "sink",
        "trailers",
    )

    def __init__(self, max_message_bytes: int) -> None:
        self.connection: Connection | None = None  # None before it was opened, and after it was forgotten
        self.id = 0
        self.send_window = 0
        self.receive_window = 0
        self.out = bytearray()
        self.queued = False  # in the connection's queue of streams that have something to send
        self.trailers = b""
        self.ending = False  # nothing more will be put into `out`
        self.local_ended = False  # END_STREAM was sent
        self.remote_ended = False
        self.messages: deque[bytes] = deque()
        self.encoding = b""
        self.sink: Callable[[bytes], None] | None = None  # takes the messages in place of `messages`
        self._limit = max_message_bytes
        self._partial = bytearray()
        self._partial_size = 0
        self._unread = 0
        self._readers: list[asyncio.Future[None]] = []
        self._writers: list[asyncio.Future[None]] = []

    def headers_came(self, fields: list[Field]) -> None:
        """A header block came after the one that opened the stream."""
        raise NotImplementedError

    def end_came(self) -> None:
        """The peer sends no more."""
        raise NotImplementedError

    def reset_came(self, code: int) -> None:
        """The peer reset the stream, or broke its rules; the connection has forgotten it."""
        raise NotImplementedError

    def connection_lost(self, reason: str) -> None:
        """The connection is gone, or never took the stream, and has forgotten it."""
        raise NotImplementedError

    def never_seen(self, reason: str) -> None:
        """The peer took no notice of the stream; the connection has forgotten it."""
        self.connection_lost(reason)

    def message_refused(self, code: grpc.StatusCode, reason: str) -> None:
        """A message came that cannot be taken; the stream has to end."""
        raise NotImplementedError

    def data_came(self, data: bytes, start: int, stop: int) -> None:
        """A piece of the message stream: `data[start:stop]`, a frame's payload."""
        if self._partial:
            self._partial += data[start:stop]
            if len(self._partial) < self._partial_size:
                self.grant()
                return
            data, start = bytes(self._partial), 0
            stop = len(data)
            self._partial = bytearray()
        start = self._messages_came(data, start, stop)
        if self.connection is None:
            return
        if start < stop:
            self._partial += data[start:stop]
        if self._readers and self.messages:
            wake_all(self._readers)
        self.grant()

    def _messages_came(self, data: bytes, start: int, stop: int) -> int:
        while stop - start >= _HEAD_SIZE:
            flag, size = _MESSAGE_HEAD.unpack_from(data, start)
            end = start + _HEAD_SIZE + size
            if size > self._limit:
                reason = f"Received message larger than max ({size} vs. {self._limit})"
                self.message_refused(grpc.StatusCode.RESOURCE_EXHAUSTED, reason)
                return stop
            if end > stop:
                self._partial_size = _HEAD_SIZE + size
                return start
            message = data[start + _HEAD_SIZE : end]
            start = end
            if flag:
                inflated = decompress(message, self.encoding, self._limit)
                if not isinstance(inflated, bytes):
                    self.message_refused(*inflated)
                    return stop
                message = inflated
            if self.sink is None:
                self._unread += len(message) + _HEAD_SIZE
                self.messages.append(message)
            else:
                self.sink(message)
                if self.connection is None:
                    return stop
        self._partial_size = _HEAD_SIZE
        return start

    def take(self) -> bytes:
        """The next message; there has to be one."""
        message = self.messages.popleft()
        self._unread -= len(message) + _HEAD_SIZE
        self.grant()
        return message

    def grant(self) -> None:
        """Lets the peer send what the window has room for beside what is not read yet."""
        connection = self.connection
        if connection is None or self.remote_ended:
            return
        window = connection.limits.stream_window_bytes
        room = window - self._unread - self.receive_window
        if room << 1 >= window:
            self.receive_window += room
            connection.wire += window_update_frame(self.id, room)
            connection.wake()

    @property
    def cut_short(self) -> bool:
        """Whether the last message has not come whole."""
        return bool(self._partial)

    async def more(self) -> bool:
        """Waits until a message can be taken; false when none will come."""
        while not self.messages:
            if self.remote_ended:
                return False
            await wait_in(self._readers)
        return True

    def no_more(self) -> None:
        """The peer sends no more: wakes who waits for it."""
        self.remote_ended = True
        if self._readers:
            wake_all(self._readers)

    def send(self, message: bytes) -> None:
        """Sends a message with whatever else is ready in this pass of the event loop."""
        self.out += _MESSAGE_HEAD.pack(0, len(message))
        self.out += message
        if not self.queued and self.send_window > 0 and self.connection is not None:
            self.connection.queue(self)

    def end(self, trailers: bytes = b"") -> None:
        """Ends our direction after what waits; with trailers, or by itself."""
        self.ending = True
        self.trailers = trailers
        if not self.queued and self.connection is not None:
            self.connection.queue(self)

    @property
    def full(self) -> bool:
        """Whether so much waits to be sent that a writer should wait."""
        connection = self.connection
        return connection is not None and len(self.out) > connection.limits.send_high_water_bytes

    async def room(self) -> None:
        """Waits while `full`.

        Raises:
            CancelledError: the stream is over.
        """
        while self.full:
            await wait_in(self._writers)

    async def flushed(self) -> None:
        """Waits until all was given to the transport.

        Raises:
            CancelledError: the stream is over.
        """
        while self.out and self.connection is not None:
            await wait_in(self._writers)

    def sent_some(self) -> None:
        """The connection took from `out`."""
        if self._writers and not self.full:
            wake_all(self._writers)

    def forgotten(self) -> None:
        """The connection knows the stream no more: nothing is sent or comes."""
        self.connection = None
        self.out = bytearray()
        self._partial = bytearray()
        self.no_more()
        wake_all(self._writers)


def call_back(callbacks: Iterable[Callable[[Any], None]], call: object) -> None:
    """Calls each back; one that raises is reported, and spoils neither the others nor the connection's other calls."""
    for callback in callbacks:
        try:
            callback(call)
        except Exception as error:  # noqa: BLE001 # foreign code in the middle of a connection of many calls
            context = {"message": "a callback of a finished call failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)


async def wait_in(queue: list[asyncio.Future[None]]) -> None:
    """Waits until the queue is woken."""
    waiter = asyncio.get_running_loop().create_future()
    queue.append(waiter)
    try:
        await waiter
    finally:
        if waiter in queue:
            queue.remove(waiter)


def wake_all(queue: list[asyncio.Future[None]]) -> None:
    """Wakes everybody in the queue."""
    for waiter in queue:
        if not waiter.done():
            waiter.set_result(None)
    queue.clear()
