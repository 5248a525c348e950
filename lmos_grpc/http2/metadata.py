"""gRPC metadata, messages and timeouts as header fields, and back."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64Error
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from lmos_grpc.http2.header_encoding import encode_field

if TYPE_CHECKING:
    from collections.abc import Iterable

Field = tuple[bytes, bytes]

_NAME: Final = re.compile(r"[0-9a-z_.\-]+")
_VALUE: Final = re.compile(r"[\x20-\x7e]*")
_PRINTABLE: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
# What the transport says and no application needs to hear.
_OF_THE_TRANSPORT: Final = frozenset(
    {
        b"te",
        b"content-type",
        b"content-length",
        b"grpc-timeout",
        b"grpc-encoding",
        b"grpc-accept-encoding",
        b"grpc-status",
        b"grpc-message",
        b"host",
        b"accept-encoding",
    }
)
_UNIT_SECONDS: Final = {b"H": 3_600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_TIMEOUT: Final = re.compile(rb"([0-9]{1,8})([HMSmun])")
_MOST_DIGITS: Final = 100_000_000


class Metadatum(NamedTuple):
    """One entry of the metadata; named like grpc.aio's."""

    key: str
    value: str | bytes


def metadata_of(fields: Iterable[Field]) -> tuple[Metadatum, ...]:
    """What the fields say to the application."""
    return tuple(
        [
            Metadatum(name.decode("latin-1"), _bytes_of(value) if name.endswith(b"-bin") else value.decode("latin-1"))
            for name, value in fields
            if name not in _OF_THE_TRANSPORT and not name.startswith(b":")
        ]
    )


def encode_metadata(metadata: Iterable[tuple[str, str | bytes]] | None) -> bytes:
    """A piece of a header block.

    Raises:
        ValueError: a key or a value is nothing that a header can carry.
    """
    if not metadata:
        return b""
    return b"".join([_entry(key, value) for key, value in metadata])


def encode_text(text: str) -> bytes:
    """A `grpc-message`: UTF-8, percent-encoded where it is not printable ASCII."""
    return quote(text, safe=_PRINTABLE).encode()


def decode_text(raw: bytes) -> str:
    """The text of a `grpc-message`; what is badly encoded is kept as far as it can be read."""
    return unquote_to_bytes(raw).decode(errors="replace")


def encode_timeout(seconds: float) -> bytes:
    """A `grpc-timeout`, rounded up; never less than a nanosecond."""
    for factor, unit in ((1e9, b"n"), (1e6, b"u"), (1e3, b"m"), (1.0, b"S"), (1 / 60, b"M")):
        value = max(1, -int(-seconds * factor // 1))
        if value < _MOST_DIGITS:
            return b"%d%b" % (value, unit)
    return b"%dH" % min(_MOST_DIGITS - 1, int(seconds / 3_600) + 1)


def decode_timeout(raw: bytes) -> float | None:
    """The seconds of a `grpc-timeout`; None for what is none."""
    match = _TIMEOUT.fullmatch(raw)
    return int(match[1]) * _UNIT_SECONDS[match[2]] if match else None


def _entry(key: str, value: str | bytes) -> bytes:
    if not _NAME.fullmatch(key):
        raise ValueError(f"metadata key {key!r}: use lower-case letters, digits, `-`, `_` and `.`")
    name = key.encode()
    if name.endswith(b"-bin"):
        raw = value if isinstance(value, bytes) else value.encode()
        return encode_field(name, b64encode(raw).rstrip(b"="))
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if not _VALUE.fullmatch(text):
        raise ValueError(f"the value of metadata key {key!r} is not printable ASCII; bytes go into keys ending in -bin")
    return encode_field(name, text.strip(" ").encode())


def _bytes_of(value: bytes) -> bytes:
    # A list is allowed, joined with commas, with or without padding.
    try:
        return b",".join([b64decode(part.strip() + b"=" * (-len(part.strip()) % 4)) for part in value.split(b",")])
    except NotBase64Error:
        return value
