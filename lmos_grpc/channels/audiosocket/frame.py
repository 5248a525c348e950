"""The frames of AudioSocket: kind, length, payload (https://docs.asterisk.org, channel driver and application)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER = struct.Struct(">BH")
_LONGEST = 0xFFFF


class Kind(IntEnum):
    """The kinds of frames that are understood here; others are skipped."""

    HANGUP = 0x00
    UUID = 0x01
    DTMF = 0x03
    AUDIO_8K = 0x10
    ERROR = 0xFF


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; the kind may be one that we do not know."""

    kind: int
    payload: bytes = b""

    def __repr__(self) -> str:
        """Without the payload: it may be a key of a secret number."""
        return f"Frame({self.kind:#04x}, {len(self.payload)} bytes)"

    def to_bytes(self) -> bytes:
        """The frame as it travels; a payload is cut at 65,535 bytes, which is all that a header can tell."""
        payload = self.payload[:_LONGEST]
        return _HEADER.pack(self.kind, len(payload)) + payload


@dataclass(slots=True)
class FrameReader:
    """Takes bytes as they come and gives whole frames. It never holds more than one frame and what came last."""

    _rest: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete with these bytes."""
        self._rest += data
        while len(self._rest) >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._rest)
            end = _HEADER.size + length
            if len(self._rest) < end:
                return
            payload = bytes(self._rest[_HEADER.size : end])
            del self._rest[:end]
            yield Frame(kind, payload)
