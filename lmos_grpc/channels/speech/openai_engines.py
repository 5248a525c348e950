"""Any server with OpenAI's speech interface: `/v1/audio/transcriptions` and `/v1/audio/speech`."""

from __future__ import annotations

import io
import wave
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from openai import APIError, AsyncOpenAI

from lmos_grpc.channels.speech.engine import Heard
from lmos_grpc.channels.speech.pcm import SAMPLE_BYTES, SAMPLE_RATE, resampled
from lmos_grpc.errors import ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

# The client insists on a key, and servers that want none do not look at it.
_NO_KEY = "none"
_SPEECH_RATE = 24_000  # of the format `pcm`
_MOST_HINTS = 50
_SENTENCE_ENDS = (".", "!", "?", "…")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAiSpeechSettings:
    """Where the server is, and what it is asked for. An empty model of either kind leaves that engine to another."""

    base_url: str
    api_key: str = field(default="", repr=False)
    transcription_model: str = ""
    speech_model: str = ""
    voice: str = "alloy"
    timeout: timedelta = timedelta(seconds=5)


class OpenAiRecogniser:
    """Understands free speech, as well as the model does; hints are its prompt."""

    def __init__(self, client: AsyncOpenAI, model: str) -> None:
        self._client = client
        self._model = model

    async def recognise(self, pcm: bytes, *, locale: str, hints: Sequence[str]) -> Heard:
        """What is said; complete where it ends as a sentence does."""
        with _our_errors(self._model):
            answer = await self._client.audio.transcriptions.create(
                file=("speech.wav", _wav(pcm), "audio/wav"),
                model=self._model,
                language=locale.partition("-")[0],
                prompt=" ".join(hints[:_MOST_HINTS]),
                response_format="json",
            )
        text = answer.text.strip()
        return Heard(text, complete=text.endswith(_SENTENCE_ENDS))


class OpenAiSynthesiser:
    """Speaks with one voice."""

    def __init__(self, client: AsyncOpenAI, model: str, voice: str) -> None:
        self._client = client
        self._model = model
        self._voice = voice

    async def synthesise(self, text: str, *, locale: str) -> bytes:
        """The text as audio."""
        del locale
        if not text.strip():
            return b""
        with _our_errors(self._model):
            answer = await self._client.audio.speech.create(
                model=self._model, voice=self._voice, input=text, response_format="pcm"
            )
            pcm = await answer.aread()
        return resampled(pcm, _SPEECH_RATE, SAMPLE_RATE)


@asynccontextmanager
async def openai_client(settings: OpenAiSpeechSettings) -> AsyncIterator[AsyncOpenAI]:
    """A client of the server, until the block ends. It does not try again: a caller waits."""
    client = AsyncOpenAI(
        api_key=settings.api_key or _NO_KEY,
        base_url=settings.base_url,
        timeout=settings.timeout.total_seconds(),
        max_retries=0,
    )
    async with client:
        yield client


def _wav(pcm: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writing:
        writing.setnchannels(1)
        writing.setsampwidth(SAMPLE_BYTES)
        writing.setframerate(SAMPLE_RATE)
        writing.writeframes(pcm)
    return file.getvalue()


@contextmanager
def _our_errors(model: str) -> Iterator[None]:
    try:
        yield
    except APIError as error:
        # Not its text: a server may repeat what was said.
        raise ModelUnavailableError(f"the speech server failed with {type(error).__name__} for {model}") from error
