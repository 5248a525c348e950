"""G.711, as telephones code sound: mu-law and A-law (ITU-T G.711)."""

from __future__ import annotations

from enum import Enum
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    Table = np.ndarray[tuple[int], np.dtype[np.int16]]

_BIAS = 0x84
_CODES = 256


class Coding(Enum):
    """How samples are coded."""

    LINEAR16 = "linear16"
    MULAW = "mulaw"
    ALAW = "alaw"


def decoded(data: bytes, coding: Coding) -> bytes:
    """The sound as 16-bit samples."""
    if coding is Coding.LINEAR16:
        return data[: len(data) // 2 * 2]
    samples: bytes = _table(coding)[np.frombuffer(data, np.uint8)].tobytes()
    return samples


def encoded(pcm: bytes, coding: Coding) -> bytes:
    """16-bit samples, coded: each as the code that is nearest to it."""
    if coding is Coding.LINEAR16:
        return pcm
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], np.int16).astype(np.int32)
    codes: bytes = _nearest(coding)[samples + 0x8000].tobytes()
    return codes


@cache
def _table(coding: Coding) -> Table:
    rule: Callable[[int], int] = _mulaw_sample if coding is Coding.MULAW else _alaw_sample
    return np.array([rule(code) for code in range(_CODES)], np.int16)


@cache
def _nearest(coding: Coding) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    values = _table(coding).astype(np.int32)
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    every = np.arange(-0x8000, 0x8000)
    at = np.clip(np.searchsorted(ranked, every), 1, _CODES - 1)
    lower = every - ranked[at - 1] <= ranked[at] - every
    nearest: np.ndarray[tuple[int], np.dtype[np.uint8]] = order[np.where(lower, at - 1, at)].astype(np.uint8)
    return nearest


def _mulaw_sample(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + _BIAS << (code >> 4 & 0x07)) - _BIAS
    return -magnitude if code & 0x80 else magnitude


def _alaw_sample(code: int) -> int:
    code ^= 0x55
    exponent, magnitude = code >> 4 & 0x07, ((code & 0x0F) << 4) + 8
    if exponent:
        magnitude = magnitude + 0x100 << exponent - 1
    return magnitude if code & 0x80 else -magnitude
