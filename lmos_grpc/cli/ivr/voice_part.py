"""The voice edge as a part of a process: speech engines, a channel to the mesh, and who answers the telephone."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.channels.audiosocket.agi_desk import agi_desk
from lmos_grpc.channels.audiosocket.voice_edge import voice_edge
from lmos_grpc.channels.voice.call_parts import CallParts
from lmos_grpc.channels.voice.metered_calls import MeteredCalls
from lmos_grpc.channels.voice.phrases import phrases_in
from lmos_grpc.channels.voice.ready_phrases import ready_phrases
from lmos_grpc.channels.voice.settings import VoiceSettings
from lmos_grpc.channels.voice.webrtc_detector import WebRtcDetector
from lmos_grpc.cli.ivr.metrics_part import metrics_served
from lmos_grpc.cli.ivr.speech_part import SpeechSettings, run_speech
from lmos_grpc.clients.converse_client import ConverseClient
from lmos_grpc.clients.discovery_client import DiscoveryClient
from lmos_grpc.rpc import open_channel
from lmos_grpc.telemetry import CallMetrics, client_interceptors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from opentelemetry.trace import Tracer

    from lmos_grpc.channels.audiosocket.voice_edge import VoiceEdge
    from lmos_grpc.channels.riva.riva_engines import RivaSettings
    from lmos_grpc.channels.speech.engine import Synthesiser
    from lmos_grpc.channels.speech.openai_engines import OpenAiSpeechSettings
    from lmos_grpc.channels.voice.call_observer import CallObserver


@dataclass(frozen=True, slots=True, kw_only=True)
class VoicePartSettings:
    """What one voice edge is made with: where the mesh is, where to listen, and how callers are treated.

    `metrics` empty: they are not served.
    """

    edge: str
    listen: str = "127.0.0.1:0"
    agi: str = ""
    voice: VoiceSettings = field(default_factory=VoiceSettings)
    phrases: tuple[str, ...] = ()
    max_calls: int = 200
    processes: int = 2
    server: OpenAiSpeechSettings | RivaSettings | None = None
    drain: timedelta = timedelta(0)
    metrics: str = ""

    @property
    def speech(self) -> SpeechSettings:
        """The speech that fits."""
        voice = self.voice
        return SpeechSettings(
            locale=voice.locale,
            tenant=voice.tenant,
            channel=voice.channel,
            phrases=self.phrases,
            processes=self.processes,
            server=self.server,
        )


@dataclass(frozen=True, slots=True)
class RunningVoice:
    """A voice edge that answers, and its synthesiser, with which a caller can be made to speak as well."""

    edge: VoiceEdge
    synthesiser: Synthesiser
    agi: str = ""
    metrics: str = ""


@asynccontextmanager
async def run_voice(
    settings: VoicePartSettings, tracer: Tracer, observer: CallObserver | None = None
) -> AsyncIterator[RunningVoice]:
    """Answers calls until the block ends. The mesh may come and go meanwhile.

    Raises:
        EnvironmentFaultError: the speech engines are not installed, or the address cannot be bound.
    """
    voice = settings.voice
    phrases = phrases_in(voice.locale)
    metrics = CallMetrics()
    async with (
        open_channel(settings.edge, interceptors=client_interceptors(tracer, address=settings.edge)) as channel,
        run_speech(settings.speech, DiscoveryClient(channel)) as (recogniser, synthesiser),
    ):
        parts = CallParts(
            client=ConverseClient(channel),
            recogniser=recogniser,
            synthesiser=synthesiser,
            settings=voice,
            phrases=phrases,
            ready=await ready_phrases(synthesiser, (voice.greeting, *phrases.all), voice.locale),
            detector=WebRtcDetector,
            observer=MeteredCalls(metrics, observer),
            tracer=tracer,
        )
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            agi = (await enter(agi_desk(parts.book, settings.agi))).address if settings.agi else ""
            edge = voice_edge(parts, settings.listen, max_calls=settings.max_calls, drain=settings.drain)
            at = await enter(metrics_served(metrics, settings.metrics))
            yield RunningVoice(await enter(edge), synthesiser, agi, at)
