"""A channel with the interface of grpc.aio's, for plaintext on loopback behind Envoy only: TLS stays with grpcio."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
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
        self._wires: list[Wire] = []
        self._waiting: deque[ClientCall] = deque()
        self._connecting: asyncio.Task[None] | None = None
        self._failures = 0
        self._retry_at = 0.0
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
        for wire in list(self._wires):
            wire.connection.fail(h2.NO_ERROR, "the channel is closed")
            wire.close()
        self._wires.clear()
        self._change(grpc.ChannelConnectivity.SHUTDOWN)

    async def _calls_end(self, grace: float) -> None:
        ended = [call.code() for call in self._running()]
        if ended:
            _, late = await asyncio.wait([asyncio.ensure_future(each) for each in ended], timeout=grace)
            for each in late:
                each.cancel()

    def _running(self) -> list[Any]:
        return [stream for wire in self._wires for stream in wire.connection.streams.values()]

    def dispatch(self, call: ClientCall) -> None:
        """Opens the call as soon as a connection has room."""
        if self._closed:
            raise grpc.aio.UsageError("Channel is closed.")
        for wire in self._wires:
            connection = wire.connection
            if isinstance(connection, ClientConnection) and connection.has_room:
                call.open_on(connection)
                return
        if self._backing_off() and not call.wait_for_ready:
            call.failed(grpc.StatusCode.UNAVAILABLE, self._last_failure)
            return
        self._waiting.append(call)
        self._connect()

    def _backing_off(self) -> bool:
        return self._connecting is not None and self._failures > 0 and not self._wires and self._retry_at > 0

    def _connect(self) -> None:
        if self._connecting is None and len(self._wires) < _MAX_CONNECTIONS and not self._closed:
            self._connecting = self.loop.create_task(self._connected())
            self._connecting.add_done_callback(self._connect_ended)

    async def _connected(self) -> None:
        """One attempt; and after a failure the time until the next one may be made."""
        self._change(grpc.ChannelConnectivity.CONNECTING)
        host, _, port = self.authority.rpartition(":")
        try:
            async with asyncio.timeout(self._backoff.connect_timeout.total_seconds()):
                await self.loop.create_connection(self._wire, host.strip("[]") or self.authority, int(port or 80))
        except (OSError, TimeoutError, ValueError) as error:
            self._failures += 1
            self._last_failure = f"failed to connect to {self.authority}: {error}"
            self._fail_waiting()
            self._change(grpc.ChannelConnectivity.TRANSIENT_FAILURE)
            pause = self._backoff.pause(self._failures, self._jitter())
            self._retry_at = self.loop.time() + pause
            await asyncio.sleep(pause)
        else:
            self._failures = 0

    def _connect_ended(self, _task: asyncio.Task[None]) -> None:
        self._connecting = None
        self._retry_at = 0.0
        self.room_changed()
        if self._waiting or (self._state is grpc.ChannelConnectivity.TRANSIENT_FAILURE and self._state_waiters):
            self._connect()

    def _fail_waiting(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            if call.wait_for_ready or self._wires:
                self._waiting.append(call)
            else:
                call.failed(grpc.StatusCode.UNAVAILABLE, self._last_failure)

    def _wire(self) -> Wire:
        return Wire(self._connection, self._keepalive, self._wire_closed)

    def _connection(self, wire: Wire) -> ClientConnection:
        self._wires.append(wire)
        self.loop.call_soon(self.room_changed)
        self._change(_READY)
        return ClientConnection(self.limits, wire.wake, time.monotonic, self)

    def _wire_closed(self, wire: Wire, reason: str) -> None:
        if wire in self._wires:
            self._wires.remove(wire)
        if not self._wires and not self._closed:
            self._last_failure = reason
            self._change(grpc.ChannelConnectivity.IDLE)
        self.room_changed()

    def room_changed(self) -> None:
        """Streams may be opened, or no more: sends those that wait."""
        if not self._waiting:
            return
        for wire in self._wires:
            connection = wire.connection
            while self._waiting and isinstance(connection, ClientConnection) and connection.has_room:
                call = self._waiting.popleft()
                if not call.done():
                    call.open_on(connection)
        if self._waiting:
            self._connect()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002 # grpc.aio's
        """Whether there is a connection."""
        if try_to_connect and not self._wires:
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
        if state is grpc.ChannelConnectivity.CONNECTING and self._wires:
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
