"""G.711, WAV files and Webex's messages."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from lmos_grpc.channels.byova.caller_input import Happening, Keys, Sound
from lmos_grpc.channels.byova.conversation import _heard_within
from lmos_grpc.channels.byova.messages import VoiceVARequest, descriptor_pool, number_of
from lmos_grpc.channels.byova.reply import Reply, ReplyEvent, ReplyKind
from lmos_grpc.channels.byova.wave_file import wav_of
from lmos_grpc.channels.byova.wire import input_from_wire, reply_to_wire
from lmos_grpc.channels.speech.g711 import Coding, decoded, encoded
from lmos_grpc.domain.live_session import InputSpec


@pytest.mark.parametrize(
    ("coding", "code", "sample"),
    [
        (Coding.MULAW, 0xFF, 0),
        (Coding.MULAW, 0x00, -32_124),
        (Coding.MULAW, 0x80, 32_124),
        (Coding.ALAW, 0xD5, 8),
        (Coding.ALAW, 0x55, -8),
        (Coding.ALAW, 0xAA, 32_256),
    ],
)
def test_codes_mean_the_samples_of_the_standard(coding: Coding, code: int, sample: int) -> None:
    assert np.frombuffer(decoded(bytes([code]), coding), np.int16)[0] == sample


@pytest.mark.parametrize("coding", [Coding.MULAW, Coding.ALAW])
def test_every_sample_survives_within_the_precision_of_its_loudness(coding: Coding) -> None:
    every = np.arange(-32_768, 32_768, 7, dtype=np.int16)
    back = np.frombuffer(decoded(encoded(every.tobytes(), coding), coding), np.int16).astype(int)
    off = np.abs(back - every.astype(int))
    assert (off <= np.maximum(16, np.abs(every.astype(int)) * 0.04)).all()
    codes = bytes(range(256))
    assert decoded(encoded(decoded(codes, coding), coding), coding) == decoded(codes, coding)


def test_a_wav_file_tells_its_coding_rate_and_length() -> None:
    file = wav_of(b"\x01\x02\x03", Coding.MULAW, 8_000)
    assert file == (
        b"RIFF" + (40).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
        + b"\x07\x00\x01\x00" + (8_000).to_bytes(4, "little") * 2 + b"\x01\x00\x08\x00"
        + b"data" + (3).to_bytes(4, "little") + b"\x01\x02\x03\x00"
    )  # fmt: skip


def test_the_numbers_of_the_interface_are_those_that_webex_has() -> None:
    request = VoiceVARequest(conversation_id="c", dtmf_input={"dtmf_events": [10, 16]})
    assert request.SerializeToString() == b"\x0a\x01c\x3a\x04\x0a\x02\x0a\x10"
    assert number_of("EventInput.EventType", "START_OF_DTMF") == 4
    assert number_of("OutputEvent.EventType", "NO_INPUT") == 7
    service = descriptor_pool().FindServiceByName("com.cisco.wcc.ccai.media.v1.VoiceVirtualAgent")
    assert [method.name for method in service.methods] == ["ProcessCallerInput", "ListVirtualAgents"]


def test_zero_is_ten_and_what_is_no_key_is_left_out() -> None:
    request = VoiceVARequest(conversation_id="c", dtmf_input={"dtmf_events": [1, 10, 16, 15, 0, 99]})
    assert input_from_wire(request).given == Keys("10#*")


def test_sound_without_a_format_has_that_of_the_sound_before() -> None:
    assert input_from_wire(VoiceVARequest(audio_input={"caller_audio": b"x"})).given == Sound(b"x")
    request = VoiceVARequest(audio_input={"encoding": 3, "sample_rate_hertz": 16_000})
    assert input_from_wire(request).given == Sound(b"", Coding.ALAW, 16_000)


def test_what_this_side_does_not_know_is_nothing() -> None:
    assert input_from_wire(VoiceVARequest()).given is None
    assert input_from_wire(VoiceVARequest(event_input={"event_type": 42})).given is None
    assert input_from_wire(VoiceVARequest(event_input={"event_type": 3})).given is Happening.NO_INPUT


def test_a_reply_has_its_event_and_what_is_expected_next() -> None:
    expects = InputSpec(complete_silence=timedelta(milliseconds=400))
    wire = reply_to_wire(Reply(ReplyKind.CHUNK, event=ReplyEvent.END_OF_INPUT, expects=expects))
    assert (wire.response_type, wire.output_events[0].event_type, len(wire.prompts)) == (2, 5, 0)
    assert wire.input_handling_config.speech_timers.complete_timeout_msec == 400
    assert wire.input_mode == number_of("VoiceVAInputMode", "INPUT_VOICE_DTMF")


@pytest.mark.parametrize(
    ("seconds", "heard"),
    [
        (0.0, ("", True)),
        (1.0, ("one two", True)),
        (2.0, ("one two three four", True)),
        (9.0, ("one two three four five", False)),
    ],
)
def test_what_was_heard_is_told_by_the_time_it_took(seconds: float, heard: tuple[str, bool]) -> None:
    assert _heard_within([("one two three four", 2.0), ("five", 1.0)], seconds) == heard


def test_keys_do_not_show_in_a_representation() -> None:
    assert "4711" not in repr(Keys("4711"))
