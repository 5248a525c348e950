"""The methods of a channel, which generated stubs hold: each makes calls of its kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import grpc
import grpc.aio

from lmos_grpc.http2.client_call import (
    StreamStreamCall,
    StreamUnaryCall,
    UnaryStreamCall,
    UnaryUnaryCall,
    request_head,
)
from lmos_grpc.http2.interception import intercepted
from lmos_grpc.http2.metadata import encode_metadata

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.http2.channel import Http2Channel
    from lmos_grpc.http2.client_call import ClientCall

_USER_AGENT = "lmos-grpc-http2"


class _Method:
    _call_class: type[ClientCall]
    _kind: str
    _streams_requests: bool

    def __init__(
        self,
        channel: Http2Channel,
        method: str | bytes,
        serialize: Callable[[Any], bytes] | None,
        deserialize: Callable[[bytes], Any] | None,
    ) -> None:
        self._channel = channel
        self._method = method if isinstance(method, bytes) else method.encode()
        self._serialize = serialize
        self._deserialize = deserialize
        self._head = request_head(self._method, channel.authority, _USER_AGENT)
        self._interceptors = [each for each in channel.interceptors if hasattr(each, f"intercept_{self._kind}")]

    def _invoke(
        self,
        request: Any,
        *,
        timeout: float | None,
        metadata: Any,
        wait_for_ready: bool | None,
        on_message: Callable[[bytes], None] | None = None,
    ) -> Any:
        if not self._interceptors:
            return self._start(
                self._head,
                request,
                timeout=timeout,
                metadata=metadata,
                wait_for_ready=bool(wait_for_ready),
                on_message=on_message,
            )
        details = grpc.aio.ClientCallDetails(
            cast("str", self._method),  # bytes, whatever the stubs say
            timeout,
            grpc.aio.Metadata(*(metadata or ())),
            None,
            wait_for_ready,
        )

        def start(asked: grpc.aio.ClientCallDetails, asked_request: Any) -> ClientCall:
            method: Any = asked.method
            raw = method if isinstance(method, bytes) else method.encode()
            head = self._head if raw == self._method else request_head(raw, self._channel.authority, _USER_AGENT)
            return self._start(
                head,
                asked_request,
                timeout=asked.timeout,
                metadata=asked.metadata,
                wait_for_ready=bool(asked.wait_for_ready),
                on_message=on_message,
            )

        return intercepted(
            self._channel.loop, self._kind, self._interceptors, details=details, request=request, start=start
        )

    def _start(
        self,
        head: bytes,
        request: Any,
        *,
        timeout: float | None,
        metadata: Any,
        wait_for_ready: bool,
        on_message: Callable[[bytes], None] | None,
    ) -> ClientCall:
        channel = self._channel
        call = self._call_class(
            channel.loop,
            head + encode_metadata(metadata) if metadata else head,
            self._serialize,
            self._deserialize,
            timeout=timeout,
            wait_for_ready=wait_for_ready,
            max_message_bytes=channel.limits.max_message_bytes,
        )
        if on_message is not None:
            call.push_to(on_message)
        if not self._streams_requests:
            call.send_only(request)
        if not call.done():
            call.dispatch_by(channel.dispatch)
        if self._streams_requests and request is not None:
            call.send_all(request)
        return call


class _OneRequest(_Method):
    _streams_requests = False

    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,  # noqa: ARG002 # there are none without TLS
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,  # noqa: ARG002 # nothing is compressed
    ) -> Any:
        """Makes a call."""
        return self._invoke(request, timeout=timeout, metadata=metadata, wait_for_ready=wait_for_ready)


class _ManyRequests(_Method):
    _streams_requests = True

    def __call__(  # noqa: PLR0917 # grpc.aio's signature
        self,
        request_iterator: Any = None,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,  # noqa: ARG002 # there are none without TLS
        wait_for_ready: bool | None = None,  # noqa: FBT001 # grpc.aio's signature
        compression: grpc.Compression | None = None,  # noqa: ARG002 # nothing is compressed
    ) -> Any:
        """Makes a call."""
        return self._invoke(request_iterator, timeout=timeout, metadata=metadata, wait_for_ready=wait_for_ready)


class UnaryUnaryMethod(_OneRequest, grpc.aio.UnaryUnaryMultiCallable[Any, Any]):
    """One request, one response."""

    _call_class = UnaryUnaryCall
    _kind = "unary_unary"


class UnaryStreamMethod(_OneRequest, grpc.aio.UnaryStreamMultiCallable[Any, Any]):
    """One request, many responses."""

    _call_class = UnaryStreamCall
    _kind = "unary_stream"

    def receive(
        self,
        request: Any,
        on_message: Callable[[bytes], None],
        *,
        timeout: float | None = None,
        metadata: Any = None,
    ) -> Any:
        """Makes a call whose responses are given to a callback, as bytes, as they come."""
        return self._invoke(request, timeout=timeout, metadata=metadata, wait_for_ready=None, on_message=on_message)


class StreamUnaryMethod(_ManyRequests, grpc.aio.StreamUnaryMultiCallable[Any, Any]):
    """Many requests, one response."""

    _call_class = StreamUnaryCall
    _kind = "stream_unary"


class StreamStreamMethod(_ManyRequests, grpc.aio.StreamStreamMultiCallable[Any, Any]):
    """Many requests, many responses."""

    _call_class = StreamStreamCall
    _kind = "stream_stream"
