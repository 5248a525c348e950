"""WAV files for those who want an answer as one: RIFF, with G.711 or linear samples."""

from __future__ import annotations

import struct

from lmos_grpc.channels.speech.g711 import Coding

_TAGS = {Coding.LINEAR16: 1, Coding.ALAW: 6, Coding.MULAW: 7}


def wav_of(data: bytes, coding: Coding, rate: int) -> bytes:
    """One channel of coded sound with its header."""
    width = 2 if coding is Coding.LINEAR16 else 1
    header = struct.pack("<HHIIHH", _TAGS[coding], 1, rate, rate * width, width, width * 8)
    padding = b"\0" * (len(data) % 2)
    body = b"WAVEfmt " + struct.pack("<I", len(header)) + header + b"data" + struct.pack("<I", len(data))
    return b"RIFF" + struct.pack("<I", len(body) + len(data) + len(padding)) + body + data + padding
