"""HTTP/2 frames as bytes: numbers of RFC 9113, and the frames that we write."""

from __future__ import annotations

from struct import Struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
WITH_PRIORITY: Final = 0x20

NO_ERROR: Final = 0
PROTOCOL_ERROR: Final = 1
INTERNAL_ERROR: Final = 2
FLOW_CONTROL_ERROR: Final = 3
STREAM_CLOSED: Final = 5
FRAME_SIZE_ERROR: Final = 6
REFUSED_STREAM: Final = 7
CANCEL: Final = 8
COMPRESSION_ERROR: Final = 9
ENHANCE_YOUR_CALM: Final = 11
INADEQUATE_SECURITY: Final = 12

HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5
MAX_HEADER_LIST_SIZE: Final = 6

DEFAULT_WINDOW: Final = 65_535
MAX_WINDOW: Final = 2**31 - 1
DEFAULT_FRAME_SIZE: Final = 16_384
LARGEST_FRAME_SIZE: Final = 2**24 - 1
LAST_STREAM_ID: Final = 2**31 - 1

# Length (24 bits, in two parts), type, flags, stream.
HEAD: Final = Struct(">HBBBL")
HEAD_SIZE: Final = 9
_SETTING: Final = Struct(">HL")
_FOUR: Final = Struct(">L")
_TWO_FOURS: Final = Struct(">LL")


class ConnectionFaultError(Exception):
    """The peer broke the protocol in a way that ends the connection."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class StreamFaultError(Exception):
    """The peer broke the protocol in a way that ends one stream."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def head(length: int, kind: int, flags: int, stream_id: int) -> bytes:
    """The nine bytes before a payload."""
    return HEAD.pack(length >> 8, length & 0xFF, kind, flags, stream_id)


def header_frames(stream_id: int, block: bytes, *, end_stream: bool, max_frame: int) -> bytes:
    """A header block as HEADERS, with as many CONTINUATION as it takes."""
    flags = END_STREAM if end_stream else 0
    if len(block) <= max_frame:
        return head(len(block), HEADERS, flags | END_HEADERS, stream_id) + block
    parts = [block[at : at + max_frame] for at in range(0, len(block), max_frame)]
    frames = [head(len(parts[0]), HEADERS, flags, stream_id), parts[0]]
    for each in parts[1:-1]:
        frames += (head(len(each), CONTINUATION, 0, stream_id), each)
    frames += (head(len(parts[-1]), CONTINUATION, END_HEADERS, stream_id), parts[-1])
    return b"".join(frames)


def settings_frame(settings: dict[int, int]) -> bytes:
    """SETTINGS with these values."""
    payload = b"".join(_SETTING.pack(key, value) for key, value in settings.items())
    return head(len(payload), SETTINGS, 0, 0) + payload


def window_update_frame(stream_id: int, increment: int) -> bytes:
    """WINDOW_UPDATE; stream 0 is the connection."""
    return head(4, WINDOW_UPDATE, 0, stream_id) + _FOUR.pack(increment)


def reset_frame(stream_id: int, code: int) -> bytes:
    """RST_STREAM."""
    return head(4, RST_STREAM, 0, stream_id) + _FOUR.pack(code)


def goaway_frame(last_stream_id: int, code: int, reason: str = "") -> bytes:
    """GOAWAY, with the reason as debug data."""
    debug = reason.encode()[:256]
    return head(8 + len(debug), GOAWAY, 0, 0) + _TWO_FOURS.pack(last_stream_id, code) + debug


def ping_frame(payload: bytes, *, ack: bool) -> bytes:
    """PING, or the answer to one."""
    return head(8, PING, ACK if ack else 0, 0) + payload


SETTINGS_ACK: Final = head(0, SETTINGS, ACK, 0)
