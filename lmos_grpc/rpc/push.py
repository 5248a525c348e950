"""Streams by pushing: bytes that are put into a call, and bytes that a call hands over as they come.

A transport that can do so itself offers `context.outlet()` on its servers and `multicallable.receive(...)` on its
clients, of the same shape as here; over grpc.aio both are made of its calls.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol, Self

from lmos_grpc.rpc.error_mapping import calling
from lmos_grpc.rpc.writing import write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import timedelta

    from lmos_grpc.rpc.metadata import Metadata
    from lmos_grpc.rpc.typing import Context

    OnMessage = Callable[[bytes], None]

# So many messages or bytes may wait for the caller, before it counts as slow; half as many, and it does no more.
_MOST_WAITING = 64
_MOST_BYTES = 256 * 1024


class Outlet(Protocol):
    """The way of a stream's messages to its caller."""

    @property
    def full(self) -> bool:
        """Whether the caller is slow: nothing is lost that is put in all the same, but it costs memory."""

    def put(self, message: bytes, /) -> None:
        """Sends a message after those before it."""

    async def room(self) -> None:
        """Returns once it is not full."""

    async def flushed(self) -> None:
        """Returns once all that was put in is on its way."""


class Inflow(Protocol):
    """A stream that hands its messages over."""

    def pause(self) -> None:
        """Hands nothing over until `resume`, except what was under way already."""

    def resume(self) -> None:
        """Goes on."""

    def cancel(self) -> object:
        """Ends the call: nothing is handed over any more."""

    async def ended(self) -> None:
        """Returns once the call is over, well or by `cancel`. Has to be waited for: it may be what hands over.

        Raises:
            LmosError: the call failed.
        """


@asynccontextmanager
async def outlet(context: Context) -> AsyncIterator[Outlet]:
    """The outlet of a call whose handler was registered without a response serializer; flushed at the end."""
    native: Any = getattr(context, "outlet", None)  # Any: what a transport brings along
    if native is not None:
        out: Outlet = native()
        yield out
        await out.flushed()
        return
    async with _AioOutlet(context) as made:
        yield made


def receive(
    multicallable: Any,  # Any: of every transport, and grpc-stubs types only grpc's own
    request: object,
    on_message: OnMessage,
    *,
    timeout: timedelta | None,
    metadata: Metadata,
) -> Inflow:
    """Begins a call whose responses are bytes, made without a response deserializer."""
    seconds = timeout.total_seconds() if timeout else None
    native = getattr(multicallable, "receive", None)
    if native is not None:
        return _NativeInflow(native(request, on_message, timeout=seconds, metadata=metadata))
    return _AioInflow(multicallable(request, timeout=seconds, metadata=metadata), on_message)


class _AioOutlet:
    """One task that writes, from the first message on."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._idle: asyncio.Future[None] | None = None
        self._eased: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._closing = False

    @property
    def full(self) -> bool:
        return len(self._waiting) >= _MOST_WAITING or self._bytes >= _MOST_BYTES

    def put(self, message: bytes, /) -> None:
        if self._closing:
            return
        self._waiting.append(message)
        self._bytes += len(message)
        if self._idle is not None:
            _wake(self._idle)
        elif self._task is None:
            self._task = self._loop.create_task(self._write())

    async def room(self) -> None:
        while self.full and not self._gone:
            await self._ease()

    async def flushed(self) -> None:
        while self._waiting and not self._gone:
            await self._ease()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._closing = True
        if self._task is None:
            return
        if self._idle is not None:
            _wake(self._idle)
        if kind is not None and issubclass(kind, asyncio.CancelledError):
            self._task.cancel()
        try:
            await asyncio.wait((self._task,))
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        if kind is None:
            self._task.result()

    @property
    def _gone(self) -> bool:
        return self._task is not None and self._task.done()

    async def _ease(self) -> None:
        if self._eased is None:
            self._eased = self._loop.create_future()
        await asyncio.shield(self._eased)

    async def _write(self) -> None:
        waiting = self._waiting
        try:
            while waiting or not self._closing:
                if not waiting:
                    self._idle = self._loop.create_future()
                    await self._idle
                    self._idle = None
                    continue
                message = waiting[0]
                await write(self._context, message)
                waiting.popleft()
                self._bytes -= len(message)
                if self._eased is not None and len(waiting) <= _MOST_WAITING // 2 and self._bytes <= _MOST_BYTES // 2:
                    self._let_on()
        finally:
            # Whoever waits for a caller that is gone goes on, and is cancelled with the call.
            self._closing = True
            self._let_on()

    def _let_on(self) -> None:
        if self._eased is not None:
            _wake(self._eased)
            self._eased = None


class _NativeInflow:
    """A call of a transport that pushes; its failures are grpc's."""

    def __init__(self, call: Any) -> None:  # Any: what a transport brings along
        self._call = call
        self.pause: Callable[[], None] = call.pause
        self.resume: Callable[[], None] = call.resume
        self.cancel: Callable[[], object] = call.cancel

    async def ended(self) -> None:
        with calling():
            await self._call.ended()


class _AioInflow:
    """A call of grpc.aio, read by whoever waits for its end."""

    def __init__(self, call: Any, on_message: OnMessage) -> None:  # Any: the stubs do not know calls of bytes
        self._call = call
        self._on_message = on_message
        self._paused: asyncio.Future[None] | None = None
        self._cancelled = False

    def pause(self) -> None:
        if self._paused is None:
            self._paused = asyncio.get_running_loop().create_future()

    def resume(self) -> None:
        if self._paused is not None:
            _wake(self._paused)
            self._paused = None

    def cancel(self) -> None:
        self._cancelled = True
        self._call.cancel()
        self.resume()

    async def ended(self) -> None:
        task = asyncio.current_task()
        try:
            with calling():
                async for message in self._call:
                    if self._cancelled:
                        return
                    self._on_message(message)
                    if self._paused is not None:
                        await self._paused
        except asyncio.CancelledError:
            # Reading from a call that was cancelled here raises this too.
            if not self._cancelled or (task is not None and task.cancelling()):
                raise
        finally:
            self._call.cancel()


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
