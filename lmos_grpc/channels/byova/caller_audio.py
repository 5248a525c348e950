"""The caller's sound in one call of Webex: decoded, cut to frames, and listened to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lmos_grpc.channels.speech.g711 import Coding, decoded
from lmos_grpc.channels.speech.pcm import FRAME_BYTES, SAMPLE_RATE, resampled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmos_grpc.channels.byova.caller_input import Sound
    from lmos_grpc.channels.voice.ear import Ear, EarEvent

# A client of Webex begins with a few bytes that are no sound.
_LEAST_BYTES = 16
_LOWEST_RATE, _HIGHEST_RATE = 8_000, 48_000


@dataclass(slots=True)
class CallerAudio:
    """Remembers the format: only the first message of a call has it."""

    ear: Ear
    coding: Coding = Coding.MULAW
    rate: int = SAMPLE_RATE
    _rest: bytearray = field(default_factory=bytearray)

    def hear(self, sound: Sound) -> Iterator[EarEvent]:
        """What a piece of sound brings."""
        self.coding = sound.coding or self.coding
        if _LOWEST_RATE <= sound.rate <= _HIGHEST_RATE:
            self.rate = sound.rate
        if len(sound.data) < _LEAST_BYTES:
            return
        self._rest += resampled(decoded(sound.data, self.coding), self.rate, SAMPLE_RATE)
        while len(self._rest) >= FRAME_BYTES:
            frame = bytes(self._rest[:FRAME_BYTES])
            del self._rest[:FRAME_BYTES]
            if event := self.ear.hear(frame):
                yield event
