"""Errors at the gRPC edge: ours become a status with details, and a status becomes ours again."""

from __future__ import annotations

import inspect
import logging
import re
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status

from lmos_grpc.domain.failure import Code, FailureDetail, Reason
from lmos_grpc.errors import InternalError, InvalidRequestError, LmosError, error_from
from lmos_grpc.rpc.writing import write
from lmos_grpc.wire.failure import failure_from_status, failure_to_status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from lmos_grpc.rpc.typing import Context, Handler

_LOG = logging.getLogger(__name__)
_DETAILS_TRAILER = "grpc-status-details-bin"
# Stands for a request that cannot be read.
_UNREADABLE = object()
_MAX_TEXT = 2_000
_MAX_VALUE = 256
_MAX_ENTRIES = 8
_PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
# Envoy's own answers name their reason here, because a local reply cannot carry google.rpc.Status.
REASON_TRAILER = "x-lmos-error-reason"
_GRPC_CODES: dict[Code, grpc.StatusCode] = {Code(each.value[0]): each for each in grpc.StatusCode if each.value[0]}
_CODES: dict[grpc.StatusCode, Code] = {wire: code for code, wire in _GRPC_CODES.items()}


class ErrorMappingInterceptor(grpc.aio.ServerInterceptor):
    """Ends a call that raised with the status of its error; what is not ours leaves as INTERNAL, neutrally worded."""

    def __init__(self) -> None:
        self._wrapped: dict[str, tuple[Handler, Handler]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wraps the handler of the method, once."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        known = self._wrapped.get(method)
        if known is None or known[0] is not handler:
            known = self._wrapped[method] = (handler, self._wrap(handler, method))
        return known[1]

    def _wrap(self, handler: Handler, method: str) -> Handler:
        kind = ("stream" if handler.request_streaming else "unary", "stream" if handler.response_streaming else "unary")
        name = "_".join(kind)
        make = getattr(grpc, f"{name}_rpc_method_handler")
        wrap = _streaming if handler.response_streaming else _single
        read = handler.request_deserializer if handler.request_streaming else _lenient(handler.request_deserializer)
        wrapped: Handler = make(wrap(getattr(handler, name), method), read, handler.response_serializer)
        return wrapped


def _lenient(deserialize: Callable[[bytes], object] | None) -> Callable[[bytes], object] | None:
    # What raises in there never gets to a handler: gRPC tells the caller of Python classes, and logs a stack.
    if deserialize is None:
        return None

    def read(raw: bytes) -> object:
        try:
            return deserialize(raw)
        except DecodeError:
            return _UNREADABLE

    return read


def _require_readable(request: object) -> None:
    if request is _UNREADABLE:
        raise InvalidRequestError("the bytes of the request are no message of the type that the method takes")


def _single(behaviour: Callable[..., Any], method: str) -> Callable[..., Any]:
    async def call(request: object, context: Context) -> object:
        try:
            _require_readable(request)
            return await behaviour(request, context)
        except Exception as error:  # the edge: whatever was raised has to leave as a status
            await _abort(error, context, method)
            raise

    return call


def _streaming(behaviour: Callable[..., Any], method: str) -> Callable[..., Any]:
    if not inspect.isasyncgenfunction(behaviour):
        return _single(behaviour, method)

    # A generator around the handler's would cost every message a second resumption, and would leave the handler's
    # clean-up to the garbage collector when the caller goes. gRPC takes a coroutine that writes just as well.
    async def write_all(request: object, context: Context) -> None:
        async with aclosing(behaviour(request, context)) as responses:
            async for response in responses:
                await write(context, response)

    return _single(write_all, method)


async def _abort(error: Exception, context: Context, method: str) -> None:
    if isinstance(error, grpc.aio.AbortError):
        return
    if not isinstance(error, LmosError):
        _LOG.error("a handler of %s failed", method, exc_info=error)
        error = InternalError("internal error; the server's log and the trace of this call tell more")
    detail = _fit_for_headers(error.detail)
    trailers = ((_DETAILS_TRAILER, failure_to_status(detail).SerializeToString()),)
    await context.abort(_GRPC_CODES[detail.code], detail.message, trailers)


def _fit_for_headers(detail: FailureDetail) -> FailureDetail:
    # Trailers are limited to 8 KB, and the message travels in them twice, once percent-encoded. A call whose
    # trailers are too large ends without any of them.
    metadata = {key: shortened(text, _MAX_VALUE) for key, text in list(detail.metadata.items())[:_MAX_ENTRIES]}
    return replace(detail, message=shortened(detail.message, _MAX_TEXT), metadata=metadata)


def shortened(text: str, limit: int) -> str:
    """The text, cut so that it has at most so many bytes, percent-encoded."""
    encoded = quote(text, safe=_PRINTABLE)
    if len(encoded) <= limit:
        return text
    return unquote(re.sub(r"(%[0-9A-F]{0,1})$", "", encoded[: limit - 3]), errors="ignore") + "..."


def error_from_call(error: grpc.aio.AioRpcError) -> LmosError:
    """Our error for a failed call: from the details of its status, else from Envoy's trailer, else from its code."""
    trailers = dict(error.trailing_metadata() or ())
    raw = trailers.get(_DETAILS_TRAILER)
    if isinstance(raw, bytes):
        return error_from(failure_from_status(Status.FromString(raw)))
    named = {**dict(error.initial_metadata() or ()), **trailers}.get(REASON_TRAILER)
    reason = Reason.__members__.get(str(named), Reason.UNSPECIFIED)
    code = _CODES.get(error.code(), Code.UNKNOWN)
    if reason is Reason.UNSPECIFIED:
        reason = _REASON_OF_CODE.get(code, Reason.UNSPECIFIED)
    return error_from(FailureDetail(code, reason, error.details() or f"the call failed with {code.name}"))


_REASON_OF_CODE = {
    Code.UNAVAILABLE: Reason.UNREACHABLE,
    Code.DEADLINE_EXCEEDED: Reason.DEADLINE_EXCEEDED,
    Code.CANCELLED: Reason.CANCELLED,
    Code.RESOURCE_EXHAUSTED: Reason.MESSAGE_TOO_LARGE,
}


@contextmanager
def calling() -> Iterator[None]:
    """Turns a failed call inside the block into our error.

    Raises:
        LmosError: the call failed.
    """
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise error_from_call(error) from error
