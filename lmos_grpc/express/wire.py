"""What Envoy and the router say to each other: plain HTTP/1.1, as far as Envoy's ext_authz filter speaks it.

https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/ext_authz_filter
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

HEALTH_PATH = "/health"
SESSION_PATH = "/lmos.agent.v1.AgentService/Converse"
LARGEST_HEAD = 64 * 1024
_END_OF_HEAD = b"\r\n\r\n"
_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n"
GO_ON = _OK + b"\r\n"
# Not one of 400: Envoy would refuse the turn with it, and after this one the orchestrator has it.
UNREADABLE = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class NotHttpError(Exception):
    """These bytes are no request that Envoy would send."""


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before the body of a request: where it is for, its headers, and the sizes of head and body."""

    path: str
    headers: Mapping[str, str]
    size: int
    body_size: int

    @property
    def end(self) -> int:
        """Where the request ends."""
        return self.size + self.body_size


def read_head(received: bytes | bytearray) -> Head | None:
    """The head at the start of the bytes; None while it is not all there.

    Raises:
        NotHttpError: it never will be, or it is none that Envoy would send.
    """
    size = received.find(_END_OF_HEAD)
    if size < 0:
        if len(received) > LARGEST_HEAD:
            raise NotHttpError(f"a head of more than {LARGEST_HEAD:,} bytes")
        return None
    # A header that is no UTF-8 is none of ours.
    request, *lines = received[:size].decode("utf-8", "replace").split("\r\n")
    words = request.split(" ")
    if len(words) != 3 or words[2] != "HTTP/1.1":  # noqa: PLR2004 - method, path and version
        raise NotHttpError(f"no request of HTTP/1.1: {request[:80]!r}")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = headers.get("content-length", "0")
    # Envoy has the whole body before it asks, and so it says how long that is.
    if "transfer-encoding" in headers or not (length.isascii() and length.isdigit()):
        raise NotHttpError("a body whose length is not told")
    return Head(words[1], headers, size + len(_END_OF_HEAD), int(length))


def write_headers(headers: Mapping[str, str]) -> bytes:
    """Some headers of an answer; their values have to be fit for it."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("ascii")


def write_answer(*parts: bytes) -> bytes:
    """The answer by which a call goes on with these headers set; Envoy then looks for its route anew."""
    return b"".join((_OK, *parts, b"\r\n"))
