"""Compressed messages: taken when they come, never sent."""

from __future__ import annotations

import zlib
from typing import Final

import grpc

ACCEPTED: Final = b"identity,deflate,gzip"
_WINDOW_BITS: Final = {b"gzip": 31, b"deflate": 15}

Refusal = tuple[grpc.StatusCode, str]


def decompress(message: bytes, encoding: bytes, limit: int) -> bytes | Refusal:
    """The message as it was before it was compressed, or why it cannot be had."""
    if encoding in (b"", b"identity"):
        return grpc.StatusCode.INTERNAL, "a message is marked as compressed, and the call has no grpc-encoding"
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        return grpc.StatusCode.UNIMPLEMENTED, f"grpc-encoding {encoding!r} is not supported; send gzip or identity"
    inflater = zlib.decompressobj(bits)
    try:
        plain = inflater.decompress(message, limit + 1)
    except zlib.error as error:
        return grpc.StatusCode.INTERNAL, f"a message cannot be decompressed: {error}"
    if len(plain) > limit:
        return grpc.StatusCode.RESOURCE_EXHAUSTED, f"Received message larger than max (more than {limit} decompressed)"
    if not inflater.eof:
        return grpc.StatusCode.INTERNAL, "a message cannot be decompressed: it is cut short"
    return plain
