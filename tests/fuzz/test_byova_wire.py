"""Whatever bytes Webex sends, they are read or refused as no message, and never break anything behind."""

from __future__ import annotations

from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from lmos_grpc.channels.byova.caller_audio import CallerAudio
from lmos_grpc.channels.byova.caller_input import Sound
from lmos_grpc.channels.byova.messages import VoiceVARequest
from lmos_grpc.channels.byova.wire import input_from_wire
from lmos_grpc.channels.speech.g711 import Coding, decoded, encoded
from lmos_grpc.channels.voice.ear import Ear


class Anything:
    """A `VoiceDetector`."""

    def is_voice(self, frame: bytes) -> bool:
        return frame[0] > 0x80


@settings(deadline=None)  # a busy machine is no failure
@given(st.binary(max_size=400))
def test_any_bytes_are_an_input_or_no_message(raw: bytes) -> None:
    try:
        message = VoiceVARequest.FromString(raw)
    except DecodeError:
        return
    given_input = input_from_wire(message)
    assert len(given_input.conversation_id) <= 128


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.lists(
        st.builds(
            Sound, st.binary(max_size=900), st.none() | st.sampled_from(Coding), st.integers(-(2**31), 2**31 - 1)
        ),
        max_size=5,
    )
)
def test_any_sound_in_any_format_is_listened_to(sounds: list[Sound]) -> None:
    audio = CallerAudio(Ear(Anything()))
    for each in sounds:
        list(audio.hear(each))
    assert len(audio._rest) < 320


@settings(deadline=None)  # a busy machine is no failure
@given(st.binary(max_size=700), st.sampled_from(Coding))
def test_any_bytes_are_sound(raw: bytes, coding: Coding) -> None:
    pcm = decoded(raw, coding)
    assert len(encoded(pcm, coding)) == (len(raw) // 2 * 2 if coding is Coding.LINEAR16 else len(raw))
