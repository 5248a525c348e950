"""Writes HPACK header blocks without a dynamic table and without Huffman codes, so that blocks can be kept and reused.

On loopback the bytes that compression saves cost more to make than to send.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

# Says that our dynamic table has no room. A peer that lowers SETTINGS_HEADER_TABLE_SIZE waits for that (RFC 7541, 4.2).
NO_DYNAMIC_TABLE: Final = b"\x20"

# The fields of the static table that gRPC uses, whole and by name (RFC 7541, appendix A).
_WHOLE: Final = {
    (b":method", b"POST"): 3,
    (b":scheme", b"http"): 6,
    (b":status", b"200"): 8,
    (b":status", b"400"): 12,
    (b":status", b"404"): 13,
    (b":status", b"500"): 14,
}
_NAMES: Final = {
    b":authority": 1,
    b":path": 4,
    b":status": 8,
    b"content-length": 28,
    b"content-type": 31,
    b"user-agent": 58,
}
_WORTH_KEEPING: Final = 128
_SEVEN_BITS: Final = 0x7F
_FOUR_BITS: Final = 0xF


def encode_block(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The header block of these fields, in their order."""
    return b"".join([encode_field(name, value) for name, value in fields])


def encode_field(name: bytes, value: bytes) -> bytes:
    """One field; the same wherever it stands in whatever block."""
    return _kept(name, value) if len(value) <= _WORTH_KEEPING else _encoded(name, value)


def _encoded(name: bytes, value: bytes) -> bytes:
    if whole := _WHOLE.get((name, value)):
        return bytes((0x80 | whole,))
    if index := _NAMES.get(name):
        return _number(index, _FOUR_BITS) + _text(value)
    return b"\x00" + _text(name) + _text(value)


_kept = lru_cache(maxsize=4_096)(_encoded)


def _text(value: bytes) -> bytes:
    return _number(len(value), _SEVEN_BITS) + value


def _number(value: int, largest: int) -> bytes:
    if value < largest:
        return bytes((value,))
    out = bytearray((largest,))
    value -= largest
    while value > _SEVEN_BITS:
        out.append(0x80 | (value & _SEVEN_BITS))
        value >>= 7
    out.append(value)
    return bytes(out)
