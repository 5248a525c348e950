"""Speech engines behind a server with OpenAI's interface, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.channels.speech.engine import Heard
from lmos_grpc.channels.speech.openai_engines import (
    OpenAiRecogniser,
    OpenAiSpeechSettings,
    OpenAiSynthesiser,
    openai_client,
)
from lmos_grpc.channels.speech.pcm import level
from lmos_grpc.errors import ModelUnavailableError
from tests.fakes.voice_desk import sound_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openai import AsyncOpenAI


@dataclass
class SpeechServer:
    """Answers each request with the same body, and keeps what it was asked."""

    body: bytes
    status: int = 200
    asked: list[bytes] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.decode().lower().split("\r\n") if line.startswith("content-length")]
        if lengths:
            body = await reader.readexactly(int(lengths[0].partition(":")[2]))
        else:
            body = await reader.readuntil(b"0\r\n\r\n")
        self.asked.append(head + body)
        length = f"Content-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
        writer.write(f"HTTP/1.1 {self.status} x\r\nContent-Type: application/json\r\n{length}".encode() + self.body)
        writer.close()


@asynccontextmanager
async def client_of(server: SpeechServer) -> AsyncIterator[AsyncOpenAI]:
    listening = await asyncio.start_server(server.answer, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    settings = OpenAiSpeechSettings(base_url=f"http://{host}:{port}/v1")
    async with listening, openai_client(settings) as client:
        yield client


@pytest.mark.parametrize(("text", "complete"), [("My internet is down.", True), ("my internet", False)])
async def test_speech_is_sent_as_a_file_with_hints_and_becomes_text(text: str, *, complete: bool) -> None:
    server = SpeechServer(json.dumps({"text": f" {text} "}).encode())
    async with client_of(server) as client:
        heard = await OpenAiRecogniser(client, "tiny").recognise(
            sound_of("hello"), locale="en-US", hints=("my internet is down",)
        )
    assert heard == Heard(text, complete=complete)
    [asked] = server.asked
    assert asked.startswith(b"POST /v1/audio/transcriptions ")
    for part in (b"RIFF", b"my internet is down", b"tiny"):
        assert part in asked


async def test_text_becomes_speech_of_8_khz() -> None:
    server = SpeechServer(sound_of("a b c") * 3)
    async with client_of(server) as client:
        pcm = await OpenAiSynthesiser(client, "tiny", "alloy").synthesise("Hello.", locale="en")
        assert await OpenAiSynthesiser(client, "tiny", "alloy").synthesise(" ", locale="en") == b""
    assert abs(len(pcm) - len(sound_of("a b c"))) < 8
    assert level(pcm) > 500
    assert b'"input":"Hello."' in server.asked[0].replace(b": ", b":")


async def test_a_server_that_fails_is_a_model_that_is_not_there_and_its_words_stay_out() -> None:
    async with client_of(SpeechServer(b'{"error": {"message": "secret words"}}', status=500)) as client:
        with pytest.raises(ModelUnavailableError) as raised:
            await OpenAiSynthesiser(client, "tiny", "alloy").synthesise("Hello.", locale="en")
    assert "secret" not in raised.value.message
