"""What a request's header block says, and whether HTTP/2 and gRPC allow it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lmos_grpc.http2.frames import PROTOCOL_ERROR, StreamFaultError

if TYPE_CHECKING:
    from lmos_grpc.http2.metadata import Field

_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_BAD_VALUE: Final = re.compile(rb"[\x00\r\n]")
_PSEUDO: Final = frozenset({b":method", b":scheme", b":path", b":authority"})
_OF_ONE_CONNECTION: Final = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
)
_FIELD_OVERHEAD: Final = 32
# Names that were found good, so that each is looked at once; a peer cannot make it grow without end.
_GOOD: set[bytes] = set()
_MOST_GOOD: Final = 1_024


@dataclass(slots=True)
class RequestHead:
    """The parts of a request that the transport itself reads."""

    method: bytes = b""
    scheme: bytes = b""
    path: bytes = b""
    content_type: bytes = b""
    timeout: bytes = b""
    encoding: bytes = b""
    content_length: int = -1

    @property
    def is_grpc(self) -> bool:
        """Whether the content type is gRPC's."""
        kind = self.content_type
        return kind.startswith(b"application/grpc") and kind[16:17] in (b"", b"+", b";")


def read_head(fields: list[Field]) -> RequestHead:
    """The head of a request.

    Raises:
        StreamFaultError: the fields are malformed (RFC 9113, 8.1.1 and 8.2).
    """
    head = RequestHead()
    pseudo = 0
    seen: set[bytes] = set()
    for position, (name, value) in enumerate(fields):
        if name.startswith(b":"):
            if pseudo != position or name in seen or name not in _PSEUDO:
                raise StreamFaultError(PROTOCOL_ERROR, f"{name!r} is out of place")
            pseudo += 1
            seen.add(name)
            if name != b":authority":
                setattr(head, name[1:].decode(), value)
        elif name not in _GOOD:
            _check_name(name, value)
        if name in _READ:
            _read(head, name, value)
    if not (head.method and head.scheme and head.path):
        raise StreamFaultError(PROTOCOL_ERROR, "a request without method, scheme or path")
    check_values(fields)
    return head


def check_trailers(fields: list[Field]) -> None:
    """Checks the fields that may end a stream.

    Raises:
        StreamFaultError: they are malformed.
    """
    for name, value in fields:
        if name not in _GOOD:
            _check_name(name, value)
    check_values(fields)


def check_values(fields: list[Field]) -> None:
    """Checks that no value could be taken for more than one."""
    if _BAD_VALUE.search(b"".join([value for _, value in fields])):
        raise StreamFaultError(PROTOCOL_ERROR, "a header value with a line break or NUL")


def size_of(fields: list[Field]) -> int:
    """The size of a header list as RFC 9113 counts it."""
    return sum([len(name) + len(value) + _FIELD_OVERHEAD for name, value in fields])


def _check_name(name: bytes, value: bytes) -> None:
    if name == b"te":
        if value != b"trailers":
            raise StreamFaultError(PROTOCOL_ERROR, "te is not `trailers`")
        return
    if name in _OF_ONE_CONNECTION or not _TOKEN.fullmatch(name):
        raise StreamFaultError(PROTOCOL_ERROR, f"a header cannot be named {name!r}")
    if len(_GOOD) < _MOST_GOOD:
        _GOOD.add(name)


_READ: Final = frozenset({b"content-type", b"grpc-timeout", b"grpc-encoding", b"content-length"})


def _read(head: RequestHead, name: bytes, value: bytes) -> None:
    if name == b"content-type":
        head.content_type = value
    elif name == b"grpc-timeout":
        head.timeout = value
    elif name == b"grpc-encoding":
        head.encoding = value
    elif not value.isdigit():
        raise StreamFaultError(PROTOCOL_ERROR, "content-length is no number")
    else:
        head.content_length = int(value)
