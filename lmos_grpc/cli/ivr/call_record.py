"""What went over the line in a call, both ways, and when."""

from __future__ import annotations

import wave
from bisect import bisect_left
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


@dataclass(slots=True)
class Track:
    """One direction. Times are seconds of the caller's own clock."""

    times: list[float] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    audible: list[bool] = field(default_factory=list)
    withheld: bool = False

    def add(self, at: float, pcm: bytes) -> None:
        """A frame that passed the caller's telephone. While it is withheld, only whether there was sound is kept."""
        self.times.append(at)
        self.frames.append(bytes(len(pcm)) if self.withheld else pcm)
        self.audible.append(any(pcm) and level(pcm) > _AUDIBLE)

    @property
    def pcm(self) -> bytes:
        """All of it."""
        return b"".join(self.frames)

    def first_sound_after(self, at: float) -> float | None:
        """When the first sound passed, at this moment or later."""
        found = range(bisect_left(self.times, at), len(self.times))
        return next((self.times[each] for each in found if self.audible[each]), None)

    def silence_after(self, at: float, *, lasting: float) -> float | None:
        """When silence began, at this moment or later, that lasted so long; None where it has not yet."""
        began: float | None = None
        for each in range(bisect_left(self.times, at), len(self.times)):
            if self.audible[each]:
                began = None
            elif began is None:
                began = self.times[each]
            if began is not None and self.times[each] - began >= lasting:
                return began
        return None

    def has_in_full(self, pcm: bytes) -> bool:
        """Whether all of this speech passed, from its first to its last frame.

        Compared by loudness, frame by frame, for a synthesiser may put a little noise into speech.
        """
        wanted, line = _loudness(frames_of(pcm)), _loudness(self.pcm)
        if not wanted.size or line.size < wanted.size:
            return False
        windows = np.lib.stride_tricks.sliding_window_view(line, wanted.size)
        off = np.abs(windows - wanted).mean(axis=1)
        return bool(off.min() < _SAME * wanted.mean())

    def gaps(self) -> list[float]:
        """The times between frames that passed one after the other."""
        return [later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False)]


@dataclass(slots=True)
class CallRecord:
    """Both directions."""

    said: Track = field(default_factory=Track)
    heard: Track = field(default_factory=Track)

    def pause(self, *, paused: bool) -> None:
        """What is said from now on is silence in the record, or is kept again."""
        self.said.withheld = self.heard.withheld = paused

    def write_wav(self, path: Path) -> None:
        """Keeps the call: the caller on the left, the desk on the right."""
        tracks = [each for each in (self.said, self.heard) if each.times]
        if not tracks:
            return
        began = min(each.times[0] for each in tracks)
        sounds = [_from(self.said, began), _from(self.heard, began)]
        samples = np.zeros((max(map(len, sounds)), 2), np.int16)
        for column, sound in enumerate(sounds):
            samples[: len(sound), column] = sound
        with wave.open(str(path), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE)
            file.writeframes(samples.tobytes())


def _loudness(pcm: bytes) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    samples = np.frombuffer(pcm, np.int16).astype(np.float64).reshape(-1, FRAME_BYTES // 2)
    loudness: np.ndarray[tuple[int], np.dtype[np.float64]] = np.sqrt((samples * samples).mean(axis=1))
    return loudness


def _from(track: Track, began: float) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    if not track.times:
        return np.zeros(0, np.int16)
    # By their number and not by their time of arrival, which jitters where the sound does not.
    before = bytes(round((track.times[0] - began) * SAMPLE_RATE) * 2)
    whole = b"".join(each.ljust(FRAME_BYTES, b"\0")[:FRAME_BYTES] for each in track.frames)
    return np.frombuffer(before + whole, np.int16)
