"""Audio as the telephone has it, and the way from and to other sampling rates."""

from __future__ import annotations

from functools import cache

import numpy as np

SAMPLE_RATE = 8_000
SAMPLE_BYTES = 2
FRAME_MILLISECONDS = 20
FRAME_BYTES = SAMPLE_RATE * SAMPLE_BYTES * FRAME_MILLISECONDS // 1_000
SILENCE = bytes(FRAME_BYTES)
BYTES_PER_SECOND = SAMPLE_RATE * SAMPLE_BYTES
_HALF_WIDTH = 16  # zero crossings of the filter on either side: enough for what a telephone lets through
_FULL_SCALE = 32_767


def resampled(pcm: bytes, rate: int, to_rate: int) -> bytes:
    """16-bit samples at another rate, low-passed first where that takes samples away."""
    samples = np.frombuffer(pcm[: len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES], np.int16).astype(np.float32)
    if rate == to_rate or not samples.size:
        return samples.astype(np.int16).tobytes()
    if to_rate < rate:
        samples = np.convolve(samples, _low_pass(rate, to_rate), mode="same")
    count = int(samples.size * to_rate / rate)
    at = np.arange(count) * (rate / to_rate)
    changed = np.interp(at, np.arange(samples.size), samples)
    clipped: bytes = np.clip(changed, -_FULL_SCALE, _FULL_SCALE).astype(np.int16).tobytes()
    return clipped


@cache
def _low_pass(rate: int, to_rate: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    cutoff = 0.46 * to_rate / rate
    half = int(_HALF_WIDTH / (2 * cutoff))
    at = np.arange(-half, half + 1)
    taps = 2 * cutoff * np.sinc(2 * cutoff * at) * np.hamming(at.size)
    normed: np.ndarray[tuple[int], np.dtype[np.float32]] = (taps / taps.sum()).astype(np.float32)
    return normed


def level(pcm: bytes) -> float:
    """The loudness of a frame as root mean square, from 0 to 32,767."""
    samples = np.frombuffer(pcm, np.int16).astype(np.float32)
    return float(np.sqrt(np.mean(samples * samples))) if samples.size else 0.0


def seconds_of(pcm_bytes: int) -> float:
    """How long so many bytes of audio last."""
    return pcm_bytes / BYTES_PER_SECOND


def frames_of(pcm: bytes) -> bytes:
    """The audio, filled up with silence to whole frames."""
    rest = len(pcm) % FRAME_BYTES
    return pcm if not rest else pcm + bytes(FRAME_BYTES - rest)
