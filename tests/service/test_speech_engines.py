"""The speech engines that need no network, in processes of their own."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.channels.speech import speech_worker
from lmos_grpc.channels.speech.engine import Heard
from lmos_grpc.channels.speech.offline_engines import SpeechProcesses, offline_engines
from lmos_grpc.channels.speech.pcm import seconds_of
from lmos_grpc.errors import ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

PHRASES = ("why is my bill so high", "is my bill paid", "my internet is down", "I want to speak to a person", "stop")


@pytest.fixture
def processes() -> Iterator[SpeechProcesses]:
    made = SpeechProcesses(1)
    yield made
    made.close()


async def test_what_a_synthesiser_says_is_understood_and_what_is_no_phrase_is_not() -> None:
    async with offline_engines(PHRASES) as (recogniser, synthesiser):

        async def heard(text: str) -> Heard:
            pcm = await synthesiser.synthesise(text, locale="en-US")
            return await recogniser.recognise(pcm, locale="en", hints=("where is my parcel",))

        for phrase in (*PHRASES, "where is my parcel"):
            assert await heard(phrase) == Heard(phrase, complete=True)
        assert await heard("tell me something about elephants") == Heard()
        assert await recogniser.recognise(bytes(16_000), locale="en", hints=()) == Heard()


async def test_one_text_is_one_speech_without_silence_around_it() -> None:
    async with offline_engines(()) as (_, synthesiser):
        first, second = [await synthesiser.synthesise("Good morning.", locale="en") for _ in range(2)]
        assert first == second
        assert 0.5 < seconds_of(len(first)) < 1.5
        assert await synthesiser.synthesise("  ", locale="en") == b""
        german = await synthesiser.synthesise("Guten Morgen <b> & mehr", locale="de-DE")
        assert seconds_of(len(german)) > 0.5


async def test_a_process_that_died_is_replaced(processes: SpeechProcesses) -> None:
    first = await processes.run(speech_worker.be_ready)
    os.kill(first, signal.SIGKILL)
    second = await processes.run(speech_worker.be_ready)
    assert second != first


async def test_a_process_that_dies_again_and_again_is_given_up(processes: SpeechProcesses) -> None:
    with pytest.raises(ModelUnavailableError):
        await processes.run(os.abort)


async def test_ctrl_c_is_for_the_edge_and_not_for_its_engines(processes: SpeechProcesses) -> None:
    process = await processes.run(speech_worker.be_ready)
    for each in (signal.SIGINT, signal.SIGTERM):
        os.kill(process, each)
    assert await asyncio.wait_for(processes.run(speech_worker.be_ready), 20) == process
