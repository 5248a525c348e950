"""The status of a call from what HTTP says, by the gRPC over HTTP/2 protocol.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md and doc/http-grpc-status-mapping.md
"""

from __future__ import annotations

from typing import Final

import grpc

from lmos_grpc.http2.frames import CANCEL, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY, REFUSED_STREAM

CODES: Final[dict[int, grpc.StatusCode]] = {each.value[0]: each for each in grpc.StatusCode}
NUMBERS: Final[dict[grpc.StatusCode, int]] = {each: each.value[0] for each in grpc.StatusCode}

_OF_HTTP: Final = {
    400: grpc.StatusCode.INTERNAL,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.UNIMPLEMENTED,
    429: grpc.StatusCode.UNAVAILABLE,
    502: grpc.StatusCode.UNAVAILABLE,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.UNAVAILABLE,
}
_OF_RESET: Final = {
    REFUSED_STREAM: grpc.StatusCode.UNAVAILABLE,
    CANCEL: grpc.StatusCode.CANCELLED,
    ENHANCE_YOUR_CALM: grpc.StatusCode.RESOURCE_EXHAUSTED,
    INADEQUATE_SECURITY: grpc.StatusCode.PERMISSION_DENIED,
}


def code_of_http(status: int) -> grpc.StatusCode:
    """The code of an answer that has an HTTP status and no gRPC status."""
    return _OF_HTTP.get(status, grpc.StatusCode.UNKNOWN)


def code_of_reset(error_code: int) -> grpc.StatusCode:
    """The code of a call whose stream was reset."""
    return _OF_RESET.get(error_code, grpc.StatusCode.INTERNAL)


def code_of_number(text: bytes) -> grpc.StatusCode:
    """The code of a `grpc-status`; one that nobody knows is UNKNOWN."""
    return CODES.get(int(text), grpc.StatusCode.UNKNOWN) if text.isdigit() else grpc.StatusCode.UNKNOWN


def code_of(code: object) -> grpc.StatusCode:
    """The code that a handler named, as itself or as its number; what is none is UNKNOWN."""
    if isinstance(code, grpc.StatusCode):
        return code
    return CODES.get(code, grpc.StatusCode.UNKNOWN) if isinstance(code, int) else grpc.StatusCode.UNKNOWN
