"""Any server with Riva's speech interface: utterances and clauses are whole, so each is one call."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from lmos_grpc.channels.riva.messages import (
    LINEAR_PCM,
    RECOGNIZE,
    SYNTHESIZE,
    RecognizeRequest,
    RecognizeResponse,
    SynthesizeSpeechRequest,
    SynthesizeSpeechResponse,
)
from lmos_grpc.channels.speech.engine import Heard
from lmos_grpc.channels.speech.pcm import SAMPLE_RATE
from lmos_grpc.errors import ModelUnavailableError
from lmos_grpc.rpc import open_channel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

_MOST_HINTS = 100
_BOOST = 10.0
_SENTENCE_ENDS = (".", "!", "?", "…")
# A language without a region is not enough for a server that has a model for each.
_REGIONS = {"en": "en-US", "de": "de-DE", "es": "es-ES", "fr": "fr-FR", "it": "it-IT"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RivaSettings:
    """Where the server is, as `host:port`. Empty names leave the choice to it."""

    address: str
    model: str = ""
    voice: str = ""
    timeout: timedelta = timedelta(seconds=5)


class RivaRecogniser:
    """Understands free speech; hints are favoured."""

    def __init__(self, channel: grpc.aio.Channel, settings: RivaSettings) -> None:
        self._settings = settings
        self._recognise = _method(channel, RECOGNIZE, RecognizeRequest, RecognizeResponse)

    async def recognise(self, pcm: bytes, *, locale: str, hints: Sequence[str]) -> Heard:
        """What is said; complete where it ends as a sentence does."""
        request = RecognizeRequest(audio=pcm)
        config = request.config
        config.encoding, config.sample_rate_hertz, config.audio_channel_count = LINEAR_PCM, SAMPLE_RATE, 1
        config.language_code, config.model = _language(locale), self._settings.model
        config.max_alternatives, config.enable_automatic_punctuation = 1, True
        if hints:
            config.speech_contexts.add(phrases=hints[:_MOST_HINTS], boost=_BOOST)
        with _our_errors():
            answer = await self._recognise(request, timeout=self._settings.timeout.total_seconds())
        best = [each.alternatives[0].transcript.strip() for each in answer.results if each.alternatives]
        text = " ".join(each for each in best if each)
        return Heard(text, complete=text.endswith(_SENTENCE_ENDS))


class RivaSynthesiser:
    """Speaks with the voice that was chosen, or the server's own."""

    def __init__(self, channel: grpc.aio.Channel, settings: RivaSettings) -> None:
        self._settings = settings
        self._synthesise = _method(channel, SYNTHESIZE, SynthesizeSpeechRequest, SynthesizeSpeechResponse)

    async def synthesise(self, text: str, *, locale: str) -> bytes:
        """The text as audio."""
        if not text.strip():
            return b""
        request = SynthesizeSpeechRequest(
            text=text,
            language_code=_language(locale),
            encoding=LINEAR_PCM,
            sample_rate_hz=SAMPLE_RATE,
            voice_name=self._settings.voice,
        )
        with _our_errors():
            answer = await self._synthesise(request, timeout=self._settings.timeout.total_seconds())
        return bytes(answer.audio)


@asynccontextmanager
async def riva_engines(settings: RivaSettings) -> AsyncIterator[tuple[RivaRecogniser, RivaSynthesiser]]:
    """Both engines, until the block ends. The server may come and go meanwhile."""
    async with open_channel(settings.address) as channel:
        yield RivaRecogniser(channel, settings), RivaSynthesiser(channel, settings)


def _method(channel: grpc.aio.Channel, path: str, request: Any, response: Any) -> Any:  # Any: made at run time
    return channel.unary_unary(
        path, request_serializer=request.SerializeToString, response_deserializer=response.FromString
    )


def _language(locale: str) -> str:
    return locale if "-" in locale else _REGIONS.get(locale.lower(), locale)


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        # Not its text: a server may repeat what was said.
        code = error.code().name if isinstance(error, grpc.aio.AioRpcError) else type(error).__name__
        raise ModelUnavailableError(f"the Riva speech server failed with {code}") from error
