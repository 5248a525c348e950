"""A channel with the interface of grpc.aio's, for plaintext on loopback behind Envoy only: TLS stays with grpcio."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

import grpc
import grpc.aio

from lmos_grpc.http2 import frames as h2
from lmos_grpc.http2.client_connection import ClientConnection
from lmos_grpc.http2.limits import Backoff, Keepalive, Limits
from lmos_grpc.http2.multicallable import (
    StreamStreamMethod,
    StreamUnaryMethod,
    UnaryStreamMethod,
    UnaryUnaryMethod,
)
from lmos_grpc.http2.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lmos_grpc.http2.client_call import ClientCall

_MAX_CONNECTIONS: Final = 8
_READY = grpc.ChannelConnectivity.READY


class Http2Channel(grpc.aio.Channel):
    """Connects at the first call; calls fail fast while the peer is away, unless they say `wait_for_ready`.

    More connections are opened where the server takes no more streams on one; beyond that calls wait.
    """

    def __init__(
        self,
        target: str,
        *,
        interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
        limits: Limits | None = None,
        keepalive: Keepalive | None = None,
        backoff: Backoff | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.limits = limits or Limits()
        self.authority = target.rpartition("/")[2]
        self.interceptors = tuple(interceptors)
        self._keepalive = keepalive or Keepalive()
        self._backoff = backoff or Backoff()
        self._jitter = jitter
        self._wires: dict[Wire, ClientConnection] = {}  # those whose server has said what it takes
        self._waiting: deque[ClientCall] = deque()
        self._connecting: asyncio.Task[None] | None = None
        self._failures = 0
        self._backing_off = False
        self._last_failure = ""
        self._closed = False
        self._state = grpc.ChannelConnectivity.IDLE
        self._state_waiters: list[asyncio.Future[None]] = []

    async def __aenter__(self) -> Self:
        """The channel itself."""
        return self

    async def __aexit__(self, *_failure: object) -> None:
        """Closes it."""
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """Cancels the calls that run, after `grace` seconds, and closes the connections."""
        if self._closed:
            return
        self._closed = True
        if grace:
            await self._calls_end(grace)
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait((self._connecting,))
        for call in [*self._waiting, *self._running()]:
            call.cut_off("Channel is closed.")
        self._waiting.clear()
        for wire, connection in list(self._wires.items()):
            connection.fail(h2.NO_ERROR, "the channel is closed")
            wire.close()
        self._wires.clear()
        self._change(grpc.ChannelConnectivity.SHUTDOWN)

    async def _calls_end(self, grace: float) -> None:
        ended = [asyncio.ensure_future(call.code()) for call in self._running()]
        if ended:
            _, late = await asyncio.wait(ended, timeout=grace)
            for each in late:
                each.cancel()

    def _running(self) -> list[Any]:
        return [stream for connection in self._wires.values() for stream in connection.streams.values()]

    def dispatch(self, call: ClientCall) -> None:
        """Opens the call as soon as a connection has room.

        Raises:
            UsageError: the channel is closed.
        """
        if self._closed:
            raise grpc.aio.UsageError("Channel is closed.")
        for connection in self._wires.values():
            if connection.has_room:
                call.open_on(connection)
                return
        if self._backing_off and not self._connected and not call.wait_for_ready:
            call.failed(grpc.StatusCode.UNAVAILABLE, self._last_failure)
            return
        self._waiting.append(call)
        self._connect()

    @property
    def _connected(self) -> int:
        return sum(not connection.draining for connection in self._wires.values())

    def _connect(self) -> None:
        if self._connecting is None and self._connected < _MAX_CONNECTIONS and not self._closed:
            self._connecting = self.loop.create_task(self._attempt())
            self._connecting.add_done_callback(self._attempted)

    async def _attempt(self) -> None:
        """One attempt; and after a failure the time until the next one may be made."""
        if not self._connected:
            self._change(grpc.ChannelConnectivity.CONNECTING)
        try:
            async with asyncio.timeout(self._backoff.connect_timeout.total_seconds()):
                await self._open_connection()
        except (OSError, TimeoutError, ValueError) as error:
            self._failures += 1
            self._last_failure = f"failed to connect to {self.authority}: {_said(error)}"
            self._backing_off = True
            self._fail_waiting()
            if not self._connected:
                self._change(grpc.ChannelConnectivity.TRANSIENT_FAILURE)
            await asyncio.sleep(self._backoff.pause(self._failures, self._jitter()))
        else:
            self._failures = 0
            self._change(_READY)

    async def _open_connection(self) -> None:
        """Connects, and waits until the server has said what it takes."""
        settled: asyncio.Future[None] = self.loop.create_future()
        host, _, port = self.authority.rpartition(":")
        transport, _ = await self.loop.create_connection(partial(self._wire, settled), host.strip("[]"), int(port))
        try:
            await settled
        except BaseException:
            transport.abort()
            raise

    def _attempted(self, _attempt: asyncio.Task[None]) -> None:
        self._connecting = None
        self._backing_off = False
        self.room_changed()
        if self._state_waiters and not self._connected:
            self._connect()

    def _fail_waiting(self) -> None:
        if self._connected:
            return
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            if call.wait_for_ready:
                self._waiting.append(call)
            else:
                call.failed(grpc.StatusCode.UNAVAILABLE, self._last_failure)

    def _wire(self, settled: asyncio.Future[None]) -> Wire:
        def make(wire: Wire) -> ClientConnection:
            return ClientConnection(
                self.limits,
                wire.wake,
                time.monotonic,
                settled=partial(self._settled, wire, settled),
                room_changed=self.room_changed,
            )

        return Wire(make, self._keepalive, partial(self._wire_closed, settled))

    def _settled(self, wire: Wire, settled: asyncio.Future[None], connection: ClientConnection) -> None:
        if not settled.done():
            settled.set_result(None)
            self._wires[wire] = connection

    def _wire_closed(self, settled: asyncio.Future[None], wire: Wire, reason: str) -> None:
        if not settled.done():
            settled.set_exception(ConnectionError(reason))
        self._wires.pop(wire, None)
        if not self._connected and not self._closed and self._connecting is None:
            self._change(grpc.ChannelConnectivity.IDLE)
        self.room_changed()

    def room_changed(self) -> None:
        """Streams may be opened, or no more: opens those that wait."""
        for connection in self._wires.values():
            while self._waiting and connection.has_room:
                call = self._waiting.popleft()
                if not call.done():
                    call.open_on(connection)
        if self._waiting:
            self._connect()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002 # grpc.aio's
        """Whether there is a connection."""
        if try_to_connect and not self._connected:
            self._connect()
        return self._state

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Waits until the state is another."""
        while self._state is last_observed_state:
            waiter = self.loop.create_future()
            self._state_waiters.append(waiter)
            await waiter

    async def channel_ready(self) -> None:
        """Waits until there is a connection."""
        while (state := self.get_state(try_to_connect=True)) is not _READY:
            await self.wait_for_state_change(state)

    def _change(self, state: grpc.ChannelConnectivity) -> None:
        if self._state is state or self._state is grpc.ChannelConnectivity.SHUTDOWN:
            return
        self._state = state
        waiters, self._state_waiters = self._state_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def unary_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,  # noqa: FBT001, FBT002 # grpc.aio's signature
    ) -> Any:
        """A method with one request and one response."""
        return UnaryUnaryMethod(self, method, request_serializer, response_deserializer)

    def unary_stream(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,  # noqa: FBT001, FBT002 # grpc.aio's signature
    ) -> Any:
        """A method with one request and many responses."""
        return UnaryStreamMethod(self, method, request_serializer, response_deserializer)

    def stream_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,  # noqa: FBT001, FBT002 # grpc.aio's signature
    ) -> Any:
        """A method with many requests and one response."""
        return StreamUnaryMethod(self, method, request_serializer, response_deserializer)

    def stream_stream(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,  # noqa: FBT001, FBT002 # grpc.aio's signature
    ) -> Any:
        """A method with many requests and many responses."""
        return StreamStreamMethod(self, method, request_serializer, response_deserializer)


def _said(error: Exception) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else str(error)
