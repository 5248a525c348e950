"""The ear hears where speech begins and ends."""

from __future__ import annotations

import numpy as np

from lmos_grpc.channels.speech.pcm import FRAME_BYTES, SILENCE
from lmos_grpc.channels.voice.ear import Ear, EarEvent, EarSettings

SETTINGS = EarSettings(complete_silence=300, incomplete_silence=800, max_speech=3_000)
LOUD = (np.ones(FRAME_BYTES // 2) * 3_000).astype(np.int16).tobytes()
FAINT = (np.ones(FRAME_BYTES // 2) * 20).astype(np.int16).tobytes()


class LoudIsVoice:
    """A `VoiceDetector`."""

    def is_voice(self, frame: bytes) -> bool:
        return frame == LOUD


def ear() -> Ear:
    return Ear(LoudIsVoice(), SETTINGS)


def hear(listening: Ear, *parts: tuple[bytes, int]) -> list[tuple[int, EarEvent]]:
    """Events with the millisecond at which they came."""
    frames = [frame for frame, milliseconds in parts for _ in range(milliseconds // 20)]
    events = []
    for number, frame in enumerate(frames, 1):
        if event := listening.hear(frame):
            events.append((number * 20, event))
        if event is EarEvent.ENDED:
            listening.forget()
    return events


def test_speech_starts_after_80_ms_of_voice_and_is_sure_after_200() -> None:
    events = hear(ear(), (SILENCE, 200), (LOUD, 300))
    assert events == [(280, EarEvent.STARTED), (400, EarEvent.CONFIRMED)]


def test_a_click_is_no_speech() -> None:
    assert hear(ear(), (SILENCE, 200), (LOUD, 60), (SILENCE, 400)) == []


def test_a_pause_is_told_before_the_silence_is_over_so_that_there_is_time_to_recognise() -> None:
    events = {event: at for at, event in hear(ear(), (LOUD, 500), (SILENCE, 900))}
    assert events[EarEvent.PAUSED] == 500 + 200
    assert events[EarEvent.ENDED] == 500 + 800


def test_a_caller_who_goes_on_after_a_pause_ends_once() -> None:
    events = [event for _, event in hear(ear(), (LOUD, 400), (SILENCE, 400), (LOUD, 400), (SILENCE, 900))]
    assert events.count(EarEvent.PAUSED) == 2
    assert events.count(EarEvent.ENDED) == 1


def test_one_loud_frame_in_a_silence_does_not_make_the_caller_wait() -> None:
    events = hear(ear(), (LOUD, 400), (SILENCE, 200), (LOUD, 20), (SILENCE, 700))
    assert events[-1] == (400 + 800, EarEvent.ENDED)


def test_the_utterance_has_what_came_just_before_it() -> None:
    listening = ear()
    hear(listening, (SILENCE, 1_000), (LOUD, 200))
    assert len(listening.utterance) == FRAME_BYTES * (400 + 120) // 20


def test_somebody_who_never_stops_is_stopped() -> None:
    begun, before_it = 400 + 80, 400
    events = hear(ear(), (SILENCE, 400), (LOUD, 4_000))
    assert (begun - before_it + 3_000, EarEvent.ENDED) in events


def test_noise_of_the_line_is_no_speech_even_if_a_detector_thinks_so() -> None:
    class AllIsVoice:
        def is_voice(self, frame: bytes) -> bool:
            return bool(frame)

    assert hear(Ear(AllIsVoice(), SETTINGS), (FAINT, 2_000)) == []


def test_after_it_is_told_to_forget_it_hears_anew() -> None:
    listening = ear()
    hear(listening, (LOUD, 400))
    listening.forget()
    assert not listening.speaking
    assert (80, EarEvent.STARTED) in hear(listening, (LOUD, 400))
