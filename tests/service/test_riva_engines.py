"""Speech engines behind a server with Riva's interface, over real gRPC."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.channels.riva.riva_engines import RivaSettings, riva_engines
from lmos_grpc.channels.speech.engine import Heard
from lmos_grpc.cli.ivr.speech_options import speech_server
from lmos_grpc.errors import InvalidConfigurationError, ModelUnavailableError
from tests.fakes.riva_server import riva_server
from tests.fakes.voice_desk import PaperRecogniser, PaperSynthesiser, sound_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc.channels.riva.riva_engines import RivaRecogniser, RivaSynthesiser
    from tests.fakes.riva_server import RivaServer


@asynccontextmanager
async def riva(*texts: str) -> AsyncIterator[tuple[RivaServer, RivaRecogniser, RivaSynthesiser]]:
    async with riva_server(PaperRecogniser(list(texts)), PaperSynthesiser()) as server:
        settings = RivaSettings(address=server.address, model="conformer", voice="Mia")
        async with riva_engines(settings) as (recogniser, synthesiser):
            yield server, recogniser, synthesiser


async def test_an_utterance_is_asked_for_with_its_rate_language_hints_and_model() -> None:
    async with riva("my internet is down") as (server, recogniser, _):
        heard = await recogniser.recognise(sound_of("hello"), locale="de", hints=("my internet is down",))
    assert heard == Heard("my internet is down.", complete=True)
    [asked] = server.asked
    config = asked.config
    assert (config.sample_rate_hertz, config.language_code, config.model) == (8_000, "de-DE", "conformer")
    assert list(config.speech_contexts[0].phrases) == ["my internet is down"]
    assert asked.audio == sound_of("hello")


async def test_a_clause_is_spoken_with_the_chosen_voice() -> None:
    async with riva() as (server, _, synthesiser):
        assert await synthesiser.synthesise("a b c", locale="en-GB") == sound_of("a b c")
    [asked] = server.asked
    assert (asked.voice_name, asked.language_code, asked.sample_rate_hz) == ("Mia", "en-GB", 8_000)


async def test_what_travels_has_the_published_numbers() -> None:
    async with riva("yes") as (server, recogniser, synthesiser):
        await recogniser.recognise(b"ab", locale="en-US", hints=())
        await synthesiser.synthesise("x", locale="en-US")
    recognise, synthesise = [each.SerializeToString(deterministic=True) for each in server.asked]
    config = b"\x08\x01\x10\xc0\x3e\x1a\x05en-US\x20\x01\x38\x01\x58\x01\x6a\x09conformer"
    assert recognise == b"\x0a" + bytes([len(config)]) + config + b"\x12\x02ab"
    assert synthesise == b"\x0a\x01x\x12\x05en-US\x18\x01\x20\xc0\x3e\x2a\x03Mia"


async def test_a_server_that_fails_is_told_without_its_words() -> None:
    async with riva() as (server, recogniser, synthesiser):
        server.down = True
        for call in (
            recogniser.recognise(b"", locale="en", hints=()),
            synthesiser.synthesise("a secret", locale="en"),
        ):
            with pytest.raises(ModelUnavailableError, match=r"^the Riva speech server failed with UNAVAILABLE$"):
                await call


async def test_a_server_that_is_not_there_is_told() -> None:
    async with riva_engines(RivaSettings(address="127.0.0.1:1")) as (recogniser, _):
        with pytest.raises(ModelUnavailableError):
            await recogniser.recognise(b"", locale="en", hints=())


def test_the_engine_is_chosen_by_the_options() -> None:
    assert speech_server(None, "", "", "", "") is None
    assert speech_server("riva", "127.0.0.1:50051", "", "", "Mia") == RivaSettings(
        address="127.0.0.1:50051", voice="Mia"
    )
    made = speech_server(None, "http://127.0.0.1:1/v1", "whisper", "", "")
    assert made == speech_server("openai", "http://127.0.0.1:1/v1", "whisper", "", "alloy")


@pytest.mark.parametrize(
    "options",
    [
        ("offline", "127.0.0.1:1", "", "", ""),
        ("openai", "", "whisper", "", ""),
        ("openai", "http://127.0.0.1:1/v1", "", "", ""),
        ("riva", "", "", "", ""),
        ("riva", "127.0.0.1", "", "", ""),
        ("riva", "127.0.0.1:1", "", "tacotron", ""),
    ],
)
def test_options_that_do_not_fit_together_are_refused(options: tuple[str, str, str, str, str]) -> None:
    with pytest.raises(InvalidConfigurationError):
        speech_server(*options)
