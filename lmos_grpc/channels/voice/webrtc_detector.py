"""The voice detector of WebRTC."""

from __future__ import annotations

from lmos_grpc.channels.speech.pcm import SAMPLE_RATE

_STRICTEST = 3


class WebRtcDetector:
    """A `VoiceDetector`; one per caller, because it learns the line's noise."""

    def __init__(self) -> None:
        import webrtcvad  # noqa: PLC0415 # needs an extra to be installed

        self._detector = webrtcvad.Vad(_STRICTEST)

    def is_voice(self, frame: bytes) -> bool:
        """Whether there is speech in a frame of 20 ms."""
        return bool(self._detector.is_speech(frame, SAMPLE_RATE))
