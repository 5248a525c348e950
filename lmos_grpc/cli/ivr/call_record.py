"""What went over the line in a call, both ways, and when."""

from __future__ import annotations

import wave
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lmos_grpc.channels.speech.pcm import FRAME_BYTES, FRAME_MILLISECONDS, SAMPLE_RATE, frames_of, level

if TYPE_CHECKING:
    from pathlib import Path

FRAME_SECONDS = FRAME_MILLISECONDS / 1_000
# Quieter than this is silence: what our engines and nothing else make of no sound.
_AUDIBLE = 60.0
_SAME = 0.1


@dataclass(frozen=True, slots=True)
class Passed:
    """A frame that passed the caller's telephone."""

    at: float
    pcm: bytes

    @property
    def audible(self) -> bool:
        """Whether there is sound in it."""
        return any(self.pcm) and level(self.pcm) > _AUDIBLE


@dataclass(slots=True)
class CallRecord:
    """Both directions. Times are seconds of the caller's own clock."""

    said: list[Passed] = field(default_factory=list)
    heard: list[Passed] = field(default_factory=list)

    @property
    def heard_pcm(self) -> bytes:
        """All that was heard."""
        return b"".join(each.pcm for each in self.heard)

    def first_sound_after(self, at: float) -> float | None:
        """When the first sound was heard that began after a moment."""
        return next((each.at for each in self.heard if each.at >= at and each.audible), None)

    def silence_after(self, at: float, *, lasting: float = 0.2) -> float | None:
        """When silence began, at this moment or later, that lasted so long; None where it has not yet."""
        began: float | None = None
        for each in self.heard:
            if each.at < at:
                continue
            if each.audible:
                began = None
            elif began is None:
                began = each.at
            if began is not None and each.at - began >= lasting:
                return began
        return None

    def has_in_full(self, pcm: bytes) -> bool:
        """Whether all of this speech was heard, from its first to its last frame.

        Compared by loudness, frame by frame, for a synthesiser may put a little noise into speech.
        """
        wanted = _loudness(frames_of(pcm))
        line = _loudness(self.heard_pcm)
        if not wanted.size or line.size < wanted.size:
            return False
        windows = np.lib.stride_tricks.sliding_window_view(line, wanted.size)
        off = np.abs(windows - wanted).mean(axis=1)
        return bool(off.min() < _SAME * wanted.mean())

    def gaps(self) -> list[float]:
        """The times between frames that were heard one after the other."""
        return [later.at - earlier.at for earlier, later in zip(self.heard, self.heard[1:], strict=False)]

    def write_wav(self, path: Path) -> None:
        """Keeps the call: the caller on the left, the desk on the right."""
        if not self.heard and not self.said:
            return
        began = min(each[0].at for each in (self.said, self.heard) if each)
        tracks = [_track(self.said, began), _track(self.heard, began)]
        samples = np.zeros((max(map(len, tracks)), 2), np.int16)
        for column, track in enumerate(tracks):
            samples[: len(track), column] = track
        with wave.open(str(path), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE)
            file.writeframes(samples.tobytes())


def _loudness(pcm: bytes) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    samples = np.frombuffer(pcm, np.int16).astype(np.float64).reshape(-1, FRAME_BYTES // 2)
    loudness: np.ndarray[tuple[int], np.dtype[np.float64]] = np.sqrt((samples * samples).mean(axis=1))
    return loudness


def _track(passed: list[Passed], began: float) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    if not passed:
        return np.zeros(0, np.int16)
    per_frame = FRAME_BYTES // 2
    # By their number and not by their time of arrival, which jitters where the sound does not.
    start = round((passed[0].at - began) * SAMPLE_RATE)
    track = np.zeros(start + per_frame * len(passed), np.int16)
    sound = np.frombuffer(b"".join(each.pcm.ljust(FRAME_BYTES, b"\0")[:FRAME_BYTES] for each in passed), np.int16)
    track[start : start + sound.size] = sound
    return track
