"""The first message of a gRPC request, in what Envoy shows of its body."""

from __future__ import annotations

from dataclasses import dataclass

_PREFIX = 5
_PLAIN, _COMPRESSED = 0, 1


@dataclass(frozen=True, slots=True)
class Unreadable:
    """There is no message here that can be read, and why."""

    reason: str


def first_message(shown: bytes) -> bytes | Unreadable:
    """The first message of a body, of which Envoy may not show all.

    A message is a byte that says whether it is compressed, four bytes with its length, and its bytes
    (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
    """
    if shown and shown[0] != _PLAIN:
        return Unreadable("the message is compressed" if shown[0] == _COMPRESSED else "the body is no gRPC message")
    if len(shown) < _PREFIX:
        return Unreadable("the body ends before its first message")
    length = int.from_bytes(shown[1:_PREFIX])
    message = shown[_PREFIX : _PREFIX + length]
    if len(message) < length:
        return Unreadable(f"of the {length:,} bytes of the message {len(message):,} are shown")
    return message
