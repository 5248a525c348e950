"""Where the caller's speech begins and ends, told from frames of 20 ms."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from lmos_grpc.channels.speech.pcm import FRAME_MILLISECONDS, level

_PRE_ROLL_FRAMES = 20
_NOISE_LEARNING = 0.05
_RECOGNISING_MILLISECONDS = 100


class VoiceDetector(Protocol):
    """Tells speech from other sound."""

    def is_voice(self, frame: bytes) -> bool:
        """Whether there is speech in a frame."""


class EarEvent(Enum):
    """What an ear notices."""

    STARTED = "the caller began to speak"
    CONFIRMED = "it is speech, and no cough"
    PAUSED = "the caller is silent, and may be done"
    ENDED = "the caller is done"


@dataclass(frozen=True, slots=True)
class EarSettings:
    """How long a caller has to speak, or be silent, for it to mean something. In milliseconds, multiples of 20.

    Speech starts with `start_voiced` of the last `start_window` milliseconds. After `complete_silence` it is over if it
    is complete, and otherwise it ends after `incomplete_silence` or at `max_speech`.
    """

    start_window: int = 120
    start_voiced: int = 80
    confirm_voiced: int = 200
    complete_silence: int = 300
    incomplete_silence: int = 800
    max_speech: int = 20_000
    quietest: float = 120.0
    above_noise: float = 2.5


@dataclass(slots=True)
class Ear:
    """Hears one caller. Times are told by the frames themselves, so that a late scheduler hears the same."""

    detector: VoiceDetector
    settings: EarSettings = field(default_factory=EarSettings)
    speaking: bool = False
    _window: deque[bool] = field(default_factory=deque)
    _pre_roll: deque[bytes] = field(default_factory=lambda: deque(maxlen=_PRE_ROLL_FRAMES))
    _utterance: list[bytes] = field(default_factory=list)
    _voiced: int = 0
    _silent: int = 0
    _noise: float = 0.0

    @property
    def utterance(self) -> bytes:
        """What the caller said since the speech began, with a little before it."""
        return b"".join(self._utterance)

    @property
    def silent_milliseconds(self) -> int:
        """For how long a caller who speaks has been silent."""
        return self._silent * FRAME_MILLISECONDS

    @property
    def onset_milliseconds(self) -> int:
        """How long ago the speech began that has just started, or been confirmed."""
        window = list(self._window)
        return (len(window) - window.index(True)) * FRAME_MILLISECONDS if True in window else 0

    def hear(self, frame: bytes) -> EarEvent | None:
        """Takes in 20 ms, and tells what they brought."""
        voiced = self._is_voice(frame)
        return self._go_on(frame, voiced=voiced) if self.speaking else self._wait(frame, voiced=voiced)

    def forget(self) -> None:
        """The utterance was dealt with; what comes next is another."""
        self.speaking = False
        self._utterance.clear()
        self._window.clear()
        self._voiced = self._silent = 0

    def _is_voice(self, frame: bytes) -> bool:
        loudness = level(frame)
        loud = loudness > max(self.settings.quietest, self._noise * self.settings.above_noise)
        if loud and self.detector.is_voice(frame):
            return True
        self._noise += (min(loudness, self.settings.quietest * 10) - self._noise) * _NOISE_LEARNING
        return False

    def _wait(self, frame: bytes, *, voiced: bool) -> EarEvent | None:
        self._pre_roll.append(frame)
        self._window.append(voiced)
        if len(self._window) > self.settings.start_window // FRAME_MILLISECONDS:
            self._window.popleft()
        if sum(self._window) * FRAME_MILLISECONDS < self.settings.start_voiced:
            return None
        self.speaking = True
        self._voiced, self._silent = sum(self._window), 0
        self._utterance = list(self._pre_roll)
        self._pre_roll.clear()
        return EarEvent.STARTED

    def _go_on(self, frame: bytes, *, voiced: bool) -> EarEvent | None:
        self._utterance.append(frame)
        self._window.append(voiced)
        self._window.popleft()
        if voiced:
            self._voiced += 1
            # One voiced frame in a silence is noise; two within three are speech again.
            self._silent = 0 if sum(list(self._window)[-3:]) > 1 else self._silent + 1
            if self._voiced * FRAME_MILLISECONDS == self.settings.confirm_voiced:
                return EarEvent.CONFIRMED
        else:
            self._silent += 1
        return self._end()

    def _end(self) -> EarEvent | None:
        too_long = len(self._utterance) * FRAME_MILLISECONDS >= self.settings.max_speech
        if too_long or self.silent_milliseconds >= self.settings.incomplete_silence:
            return EarEvent.ENDED
        return EarEvent.PAUSED if self.silent_milliseconds == self._pause() else None

    def _pause(self) -> int:
        # Told a little early: what was said can be recognised while the rest of the silence passes.
        return max(FRAME_MILLISECONDS, self.settings.complete_silence - _RECOGNISING_MILLISECONDS)
