"""The answer to a request that is no gRPC call: an HTTP status with a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos_grpc.http2 import frames as h2
from lmos_grpc.http2.frames import StreamFaultError
from lmos_grpc.http2.header_encoding import encode_block
from lmos_grpc.http2.request_head import check_trailers
from lmos_grpc.http2.stream import Stream

if TYPE_CHECKING:
    import grpc

    from lmos_grpc.http2.metadata import Field
    from lmos_grpc.http2.request_head import RequestHead


class RefusedRequest(Stream):
    """Answers when the request has ended, and throws its body away."""

    __slots__ = ("_expected", "_sentence", "_status")

    def __init__(self, status: int, sentence: str, head: RequestHead) -> None:
        super().__init__(0)
        self._status = status
        self._sentence = sentence.encode()
        self._expected = head.content_length

    def data_came(self, data: bytes, start: int, stop: int) -> None:  # noqa: ARG002 # thrown away
        """Counts, for a request that says how long it is."""
        if self._expected >= 0:
            self._expected -= stop - start
            if self._expected < 0:
                raise StreamFaultError(h2.PROTOCOL_ERROR, "more DATA than content-length says")
        self.grant()

    def headers_came(self, fields: list[Field]) -> None:
        """Trailers of the request."""
        if not self.remote_ended:
            raise StreamFaultError(h2.PROTOCOL_ERROR, "a second header block that does not end the stream")
        check_trailers(fields)

    def end_came(self) -> None:
        """The time to answer."""
        if self._expected > 0:
            raise StreamFaultError(h2.PROTOCOL_ERROR, "less DATA than content-length says")
        connection = self.connection
        if connection is None or self.ending:
            return
        fields = [
            (b":status", b"%d" % self._status),
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(self._sentence)),
        ]
        connection.send_headers(self, encode_block(fields), end=False)
        self.out += self._sentence
        self.end()

    def reset_came(self, code: int) -> None:
        """Nobody waits for the answer."""

    def connection_lost(self, reason: str) -> None:
        """Nobody waits for the answer."""

    def message_refused(self, code: grpc.StatusCode, reason: str) -> None:
        """Its messages are not read."""
