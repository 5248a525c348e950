"""What every pair of speech engines keeps: those that need no network, and those of a server."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.channels.riva.riva_engines import RivaSettings, riva_engines
from lmos_grpc.channels.speech.engine import Heard
from lmos_grpc.channels.speech.offline_engines import offline_engines
from lmos_grpc.channels.speech.pcm import FRAME_BYTES, level, seconds_of
from tests.fakes.riva_server import riva_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc.channels.speech.engine import Recogniser, Synthesiser

PHRASES = ("why is my bill so high", "is my bill paid", "I want to speak to a person")
HINT = "where is my parcel"


@asynccontextmanager
async def engines(kind: str) -> AsyncIterator[tuple[Recogniser, Synthesiser]]:
    async with offline_engines(PHRASES) as (recogniser, synthesiser):
        if kind == "offline":
            yield recogniser, synthesiser
            return
        async with (
            riva_server(recogniser, synthesiser) as server,
            riva_engines(RivaSettings(address=server.address)) as remote,
        ):
            yield remote


pytestmark = pytest.mark.parametrize("kind", ["offline", "riva"])


async def test_a_whole_phrase_is_understood_as_it_was_said(kind: str) -> None:
    async with engines(kind) as (recogniser, synthesiser):
        for phrase in (*PHRASES, HINT):
            pcm = await synthesiser.synthesise(phrase, locale="en-US")
            heard = await recogniser.recognise(pcm, locale="en", hints=(HINT,))
            assert heard.text.rstrip(".") == phrase
            assert heard.complete


async def test_silence_is_nothing(kind: str) -> None:
    async with engines(kind) as (recogniser, _):
        assert await recogniser.recognise(bytes(16_000), locale="en", hints=()) == Heard()


async def test_speech_is_sound_of_the_telephone_and_as_long_as_speech_is(kind: str) -> None:
    async with engines(kind) as (_, synthesiser):
        pcm = await synthesiser.synthesise("Good morning.", locale="en")
        assert 0.5 < seconds_of(len(pcm)) < 1.5
        assert max(level(pcm[at : at + FRAME_BYTES]) for at in range(0, len(pcm), FRAME_BYTES)) > 1_000
        assert await synthesiser.synthesise("  ", locale="en") == b""
