"""A gRPC server with grpc.aio's interface, for plaintext on loopback behind Envoy only: TLS stays with grpcio."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import socket
import time
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
import grpc.aio

from lmos_grpc.http2.limits import Keepalive, Limits
from lmos_grpc.http2.metadata import decode_timeout
from lmos_grpc.http2.server_call import ServerCall
from lmos_grpc.http2.server_connection import ServerConnection
from lmos_grpc.http2.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence

    from lmos_grpc.http2.metadata import Field, Metadatum
    from lmos_grpc.http2.request_head import RequestHead
    from lmos_grpc.http2.server_call import Handler

_LOG = logging.getLogger(__name__)
_BACKLOG = 1_024
# A cancelled handler cleans up in less, or it does not listen.
_END_SECONDS = 10.0


class Http2Server(grpc.aio.Server):
    """Serves the handlers that generated code adds. Handlers have to be async."""

    def __init__(
        self,
        *,
        interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
        limits: Limits | None = None,
        keepalive: Keepalive | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.loop = asyncio.get_running_loop()
        self._keepalive = keepalive or Keepalive()
        self._interceptors = tuple(interceptors)
        self._generic: list[grpc.GenericRpcHandler] = []
        self._registered: dict[str, Handler] = {}
        self._found: dict[str, Handler | None] = {}
        self._sockets: list[socket.socket] = []
        self._listeners: list[asyncio.Server] = []
        self._wires: dict[Wire, ServerConnection] = {}
        self._calls: dict[asyncio.Task[None], ServerCall] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False
        self._stopped = asyncio.Event()

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Handlers that are asked for each method."""
        self._generic += generic_rpc_handlers

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        """Handlers by method."""
        for name, handler in method_handlers.items():
            self._registered[f"/{service_name}/{name}"] = handler

    def add_insecure_port(self, address: str) -> int:
        """Binds `host:port`; gives the port.

        Raises:
            RuntimeError: the address cannot be bound.
        """
        host, _, port = address.rpartition(":")
        try:
            bound = self._bind(host.strip("[]"), int(port))
        except OSError as error:
            raise RuntimeError(f"Failed to bind to address {address}: {error}") from error
        return bound

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> NoReturn:  # noqa: ARG002
        """Refused: TLS stays with grpcio."""
        raise RuntimeError("this server has no TLS; use grpc.aio.server")

    def _bind(self, host: str, port: int) -> int:
        flags = socket.AI_PASSIVE
        for family, kind, protocol, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags):
            listener = socket.socket(family, kind, protocol)
            try:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.setblocking(False)  # noqa: FBT003 # its only way
                listener.bind((place[0], port, *place[2:]))
                # At once: until somebody listens, a second server could take the port as well.
                listener.listen(_BACKLOG)
            except BaseException:
                listener.close()
                raise
            self._sockets.append(listener)
            port = listener.getsockname()[1]
        return port

    async def start(self) -> None:
        """Accepts connections."""
        while self._sockets:
            listener = self._sockets.pop()
            self._listeners.append(await self.loop.create_server(self._wire, sock=listener, backlog=_BACKLOG))

    async def stop(self, grace: float | None) -> None:
        """Takes no new calls; those that run get `grace` seconds, then they are cancelled. Returns when all ended."""
        self._close_listeners()
        self._stopping = True
        for connection in list(self._wires.values()):
            connection.drain()
        if grace:
            try:
                async with asyncio.timeout(grace):
                    await self._idle.wait()
            except TimeoutError:
                pass
        for call in list(self._calls.values()):
            call.cut_off()
        if self._calls:
            _, late = await asyncio.wait(self._calls, timeout=_END_SECONDS)
            for task in late:
                _LOG.error("a handler of %s goes on, though its call was cancelled", self._calls[task].method)
        for wire, connection in list(self._wires.items()):
            connection.finish()
            wire.close()
        self._stopped.set()

    async def wait_for_termination(self, timeout: float | None = None) -> bool:
        """Waits for `stop`; true if the time was over first."""
        try:
            async with asyncio.timeout(timeout):
                await self._stopped.wait()
        except TimeoutError:
            return True
        return False

    def start_call(self, call: ServerCall, running: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs a call in a task of its own, which the server waits for when it stops."""
        task = self.loop.create_task(running, context=contextvars.Context())
        self._calls[task] = call
        self._idle.clear()
        task.add_done_callback(self._call_ended)
        return task

    def _call_ended(self, task: asyncio.Task[None]) -> None:
        del self._calls[task]
        if not self._calls:
            self._idle.set()

    async def handler_of(
        self, found: Handler | None, method: str, metadata: Callable[[], tuple[Metadatum, ...]]
    ) -> Handler | None:
        """The handler of a call, as the interceptors wrap it."""
        if not self._interceptors:
            return found
        details = _CallDetails(method, metadata())
        return await self._ask(0, found, details, details)

    async def _ask(
        self, place: int, found: Handler | None, details: _CallDetails, asked: grpc.HandlerCallDetails
    ) -> Handler | None:
        # No closure that calls itself: it would be a cycle for the collector at each call.
        if place == len(self._interceptors):
            return found if asked is details else self._find(asked.method, asked)
        rest = partial(self._ask, place + 1, found, details)
        answered: Handler | None = await self._interceptors[place].intercept_service(rest, asked)
        return answered

    def _find(self, method: str, details: grpc.HandlerCallDetails) -> Handler | None:
        registered = self._registered.get(method)
        if registered is not None:
            return registered
        for generic in self._generic:
            handler = generic.service(details)
            if handler is not None:
                return handler
        return None

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()
        for waiting in self._sockets:
            waiting.close()
        self._listeners.clear()
        self._sockets.clear()

    def _wire(self) -> Wire:
        return Wire(self._connection, self._keepalive, self._wire_closed)

    def _connection(self, wire: Wire) -> ServerConnection:
        open_call = partial(self._open_call, wire.peer)
        self._wires[wire] = connection = ServerConnection(self.limits, wire.wake, time.monotonic, open_call)
        return connection

    def _wire_closed(self, wire: Wire, _reason: str) -> None:
        self._wires.pop(wire, None)

    def _open_call(self, peer: str, head: RequestHead, fields: list[Field]) -> ServerCall:
        method = head.path.decode("latin-1")
        timeout = decode_timeout(head.timeout) if head.timeout else None
        details = _CallDetails(method, ())
        found = self._find(method, details)
        return ServerCall(self, peer=peer, method=method, fields=fields, handler=found, timeout=timeout)


class _CallDetails(grpc.HandlerCallDetails):
    def __init__(self, method: str, invocation_metadata: tuple[Metadatum, ...]) -> None:
        self.method = method
        self.invocation_metadata = invocation_metadata
