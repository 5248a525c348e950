"""Calls through a channel's interceptors: a task makes the call, and what the caller holds stands for it meanwhile."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Sequence

    from lmos_grpc.http2.client_call import ClientCall

    Start = Callable[[grpc.aio.ClientCallDetails, Any], ClientCall]


def intercepted(
    loop: asyncio.AbstractEventLoop,
    kind: str,
    interceptors: Sequence[Any],
    *,
    details: grpc.aio.ClientCallDetails,
    request: Any,
    start: Start,
) -> Any:
    """The call, made through the interceptors.

    Where all of them say that they never wait (`suspends = False`), the call itself, made at once.
    """
    making = _ask(kind, interceptors, start, details, request)
    if all(getattr(each, "suspends", True) is False for each in interceptors):
        try:
            making.send(None)
        except StopIteration as made:
            return made.value
        raise RuntimeError("an interceptor with `suspends = False` waited")
    return _CALLS[kind](loop.create_task(making))


async def _ask(kind: str, rest: Sequence[Any], start: Start, details: grpc.aio.ClientCallDetails, request: Any) -> Any:
    if not rest:
        return start(details, request)
    continuation = partial(_ask, kind, rest[1:], start)
    return await getattr(rest[0], f"intercept_{kind}")(continuation, details, request)


class _InterceptedCall:
    def __init__(self, making: asyncio.Task[Any]) -> None:
        self._making = making
        self._early: list[Callable[[Any], None]] = []
        self._responses: AsyncIterator[Any] | None = None
        making.add_done_callback(self._made)

    def _made(self, making: asyncio.Task[Any]) -> None:
        call = self._call
        for callback in self._early:
            if call is None or not hasattr(call, "add_done_callback"):
                callback(self)
            else:
                call.add_done_callback(partial(self._told, callback))
        self._early = []
        if not making.cancelled():
            making.exception()  # seen; whoever awaits the call hears it

    def _told(self, callback: Callable[[Any], None], _call: object) -> None:
        callback(self)

    @property
    def _call(self) -> Any:
        making = self._making
        failed = not making.done() or making.cancelled() or making.exception() is not None
        return None if failed else making.result()

    async def _made_call(self) -> Any:
        try:
            return await asyncio.shield(self._making)
        except asyncio.CancelledError:
            self.cancel()
            raise

    def cancel(self) -> bool:
        if not self._making.done():
            return self._making.cancel()
        call = self._call
        return call is not None and bool(call.cancel())

    def cancelled(self) -> bool:
        call = self._call
        return self._making.cancelled() if call is None else bool(call.cancelled())

    def done(self) -> bool:
        call = self._call
        return self._making.done() if call is None else bool(call.done())

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        call = self._call
        if call is not None:
            call.add_done_callback(partial(self._told, callback))
        elif self._making.done():
            callback(self)
        else:
            self._early.append(callback)

    def time_remaining(self) -> Any:
        call = self._call
        return None if call is None else call.time_remaining()

    async def initial_metadata(self) -> Any:
        return await self._said("initial_metadata", lambda error: error.initial_metadata())

    async def trailing_metadata(self) -> Any:
        return await self._said("trailing_metadata", lambda error: error.trailing_metadata())

    async def code(self) -> Any:
        return await self._said("code", lambda error: error.code(), cancelled=grpc.StatusCode.CANCELLED)

    async def details(self) -> Any:
        return await self._said("details", lambda error: error.details(), cancelled="Locally cancelled by application!")

    async def debug_error_string(self) -> Any:
        return await self._said("debug_error_string", lambda error: error.debug_error_string(), cancelled="")

    async def _said(self, what: str, of_error: Callable[[grpc.aio.AioRpcError], Any], cancelled: Any = None) -> Any:
        try:
            call = await asyncio.shield(self._making)
        except grpc.aio.AioRpcError as error:
            return of_error(error)
        except asyncio.CancelledError:
            if self._making.cancelled():
                return cancelled
            raise
        return await getattr(call, what)()

    async def wait_for_connection(self) -> None:
        await (await self._made_call()).wait_for_connection()

    def __await__(self) -> Generator[Any, None, Any]:
        return self._response().__await__()

    async def _response(self) -> Any:
        call = await self._made_call()
        return await call if hasattr(call, "__await__") else call

    def __aiter__(self) -> AsyncIterator[Any]:
        if self._responses is None:
            self._responses = self._iterate()
        return self._responses

    async def _iterate(self) -> AsyncIterator[Any]:
        async for response in await self._made_call():
            yield response

    async def read(self) -> Any:
        return await (await self._made_call()).read()

    async def write(self, request: Any) -> None:
        await (await self._made_call()).write(request)

    async def done_writing(self) -> None:
        await (await self._made_call()).done_writing()

    def pause(self) -> None:
        call = self._call
        if call is not None:
            call.pause()

    def resume(self) -> None:
        call = self._call
        if call is not None:
            call.resume()

    async def ended(self) -> None:
        await (await self._made_call()).ended()


class _UnaryUnary(_InterceptedCall, grpc.aio.UnaryUnaryCall[Any, Any]):
    pass


class _UnaryStream(_InterceptedCall, grpc.aio.UnaryStreamCall[Any, Any]):
    pass


class _StreamUnary(_InterceptedCall, grpc.aio.StreamUnaryCall[Any, Any]):
    pass


class _StreamStream(_InterceptedCall, grpc.aio.StreamStreamCall[Any, Any]):
    pass


_CALLS: dict[str, Callable[[asyncio.Task[Any]], Any]] = {
    "unary_unary": _UnaryUnary,
    "unary_stream": _UnaryStream,
    "stream_unary": _StreamUnary,
    "stream_stream": _StreamStream,
}
