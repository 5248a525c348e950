"""AudioSocket frames, and audio at other rates."""

from __future__ import annotations

import wave
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lmos_grpc.channels.audiosocket.frame import Frame, FrameReader, Kind
from lmos_grpc.channels.speech.pcm import FRAME_BYTES, frames_of, level, resampled
from lmos_grpc.cli.ivr.call_record import CallRecord

if TYPE_CHECKING:
    from pathlib import Path


def test_a_frame_is_its_kind_its_length_and_its_payload() -> None:
    assert Frame(Kind.AUDIO_8K, b"\x01\x02\x03").to_bytes() == b"\x10\x00\x03\x01\x02\x03"
    assert Frame(Kind.HANGUP).to_bytes() == b"\x00\x00\x00"


def test_frames_come_whole_however_their_bytes_arrive() -> None:
    frames = [Frame(Kind.UUID, bytes(16)), Frame(Kind.DTMF, b"5"), Frame(Kind.AUDIO_8K, bytes(320)), Frame(0x42, b"?")]
    reader = FrameReader()
    found: list[Frame] = []
    for byte in b"".join(each.to_bytes() for each in frames):
        found += reader.feed(bytes([byte]))
    assert found == frames


def test_a_frame_does_not_show_its_payload() -> None:
    assert "7" not in repr(Frame(Kind.DTMF, b"7")).replace("0x03", "")


@pytest.mark.parametrize(("rate", "to_rate"), [(16_000, 8_000), (8_000, 16_000), (22_050, 8_000), (8_000, 8_000)])
def test_a_tone_keeps_its_pitch_and_loudness_at_another_rate(rate: int, to_rate: int) -> None:
    at = np.arange(rate) / rate
    tone = (8_000 * np.sin(2 * np.pi * 440 * at)).astype(np.int16).tobytes()
    changed = np.frombuffer(resampled(tone, rate, to_rate), np.int16)
    assert abs(changed.size - to_rate) <= 1
    assert np.argmax(np.abs(np.fft.rfft(changed))) == pytest.approx(440, abs=2)
    assert level(changed.tobytes()) == pytest.approx(level(tone), rel=0.05)


def test_what_a_telephone_cannot_carry_is_not_folded_into_what_it_can() -> None:
    at = np.arange(16_000) / 16_000
    high = (8_000 * np.sin(2 * np.pi * 6_000 * at)).astype(np.int16).tobytes()
    assert level(resampled(high, 16_000, 8_000)) < level(high) / 50


def test_audio_is_filled_up_to_whole_frames() -> None:
    assert len(frames_of(b"\x01" * 321)) == 2 * FRAME_BYTES
    assert frames_of(bytes(FRAME_BYTES)) == bytes(FRAME_BYTES)


def test_what_is_withheld_from_a_recording_is_silence_in_it_and_was_sound_all_the_same(tmp_path: Path) -> None:
    record, loud = CallRecord(), b"\x10\x20" * 160
    for at, paused in ((0.00, False), (0.02, True), (0.04, False)):
        record.pause(paused=paused)
        record.said.add(at, loud)
        record.heard.add(at, loud)
    assert record.said.audible == [True, True, True]
    record.write_wav(tmp_path / "call.wav")
    with wave.open(str(tmp_path / "call.wav")) as file:
        kept = file.readframes(480)
    assert kept == b"\x10\x20\x10\x20" * 160 + bytes(640) + b"\x10\x20\x10\x20" * 160
