"""The first message of a gRPC request, put together from the pieces in which its body arrives."""

from __future__ import annotations

from dataclasses import dataclass

# What Envoy holds back until the router has answered has to fit into its buffer
# (per_connection_buffer_limit_bytes in envoy/edge_listener.yaml), or the rest of the message never comes.
LARGEST = 1_000_000

_PREFIX = 5
_PLAIN, _COMPRESSED = 0, 1


@dataclass(frozen=True, slots=True)
class Unreadable:
    """There is no message here that can be read, and why."""

    reason: str


class FirstMessage:
    """Takes the pieces of a body until the first message is whole.

    A message is a byte that says whether it is compressed, four bytes with its length, and its bytes
    (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
    """

    def __init__(self, *, largest: int = LARGEST) -> None:
        self._largest = largest
        self._received = bytearray()

    def take(self, piece: bytes, *, last: bool) -> bytes | Unreadable | None:
        """Takes the next piece; `last` where the body ends with it. None: more is needed."""
        self._received += piece
        found = self._found()
        if found is None and last:
            return Unreadable("the request ended before its first message was whole")
        return found

    def _found(self) -> bytes | Unreadable | None:
        received = self._received
        if received and received[0] != _PLAIN:
            compressed = received[0] == _COMPRESSED
            return Unreadable("the message is compressed" if compressed else "the body is no gRPC message")
        if len(received) < _PREFIX:
            return None
        length = int.from_bytes(received[1:_PREFIX])
        if length > self._largest:
            return Unreadable(f"the message has {length:,} bytes")
        if len(received) < _PREFIX + length:
            return None
        return bytes(received[_PREFIX : _PREFIX + length])
