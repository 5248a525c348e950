"""The voice edge as a part of a process: speech engines, a channel to the mesh, and who answers the telephone."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.channels.audiosocket.voice_edge import voice_edge
from lmos_grpc.channels.speech.offline_engines import offline_engines
from lmos_grpc.channels.voice.call_observer import NobodyLooks
from lmos_grpc.channels.voice.phrases import phrases_in
from lmos_grpc.channels.voice.ready_phrases import ready_phrases
from lmos_grpc.channels.voice.settings import VoiceSettings
from lmos_grpc.channels.voice.voice_call import CallParts
from lmos_grpc.channels.voice.webrtc_detector import WebRtcDetector
from lmos_grpc.cli.running import beside
from lmos_grpc.clients.converse_client import ConverseClient
from lmos_grpc.clients.discovery_client import DiscoveryClient
from lmos_grpc.errors import LmosError
from lmos_grpc.rpc import open_channel
from lmos_grpc.telemetry import client_interceptors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from opentelemetry.trace import Tracer

    from lmos_grpc.channels.audiosocket.voice_edge import VoiceEdge
    from lmos_grpc.channels.speech.engine import Synthesiser
    from lmos_grpc.channels.speech.offline_engines import SphinxRecogniser
    from lmos_grpc.channels.voice.call_observer import CallObserver
    from lmos_grpc.domain.instance import Agent

_LOG = logging.getLogger(__name__)
_PHRASES_EVERY = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class VoicePartSettings:
    """What one voice edge is made with. `phrases` are listened for beside those of the agents' cards."""

    edge: str
    listen: str = "127.0.0.1:0"
    voice: VoiceSettings = field(default_factory=VoiceSettings)
    phrases: tuple[str, ...] = ()
    max_calls: int = 200
    processes: int = 1
    drain: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class RunningVoice:
    """A voice edge that answers, and its synthesiser, with which a caller can be made to speak as well."""

    edge: VoiceEdge
    synthesiser: Synthesiser


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
    async with (
        offline_engines(settings.phrases, processes=settings.processes) as (recogniser, synthesiser),
        open_channel(settings.edge, interceptors=client_interceptors(tracer, address=settings.edge)) as channel,
    ):
        listening = _Listening(recogniser, DiscoveryClient(channel), settings)
        await listening.learn()
        parts = CallParts(
            client=ConverseClient(channel),
            recogniser=recogniser,
            synthesiser=synthesiser,
            settings=voice,
            phrases=phrases,
            ready=await ready_phrases(synthesiser, phrases, voice),
            detector=WebRtcDetector,
            observer=observer or NobodyLooks(),
            tracer=tracer,
        )
        async with (
            beside(listening.keep_learning()),
            voice_edge(parts, settings.listen, max_calls=settings.max_calls, drain=settings.drain) as edge,
        ):
            yield RunningVoice(edge, synthesiser)


@dataclass(frozen=True, slots=True)
class _Listening:
    """Keeps the recogniser's grammar as the agents' cards have it: callers say what agents understand."""

    recogniser: SphinxRecogniser
    discovery: DiscoveryClient
    settings: VoicePartSettings

    async def learn(self) -> None:
        voice = self.settings.voice
        try:
            agents = await self.discovery.list_agents(tenant=voice.tenant, channel=voice.channel)
        except LmosError as error:
            _LOG.warning("cannot read what agents understand, and go on with what is known: %s", error)
            return
        await self.recogniser.listen_for((*self.settings.phrases, *_examples(agents, voice.locale)))

    async def keep_learning(self) -> None:
        while True:
            await asyncio.sleep(_PHRASES_EVERY.total_seconds())
            await self.learn()


def _examples(agents: Iterable[Agent], locale: str) -> Iterable[str]:
    language = locale.lower().partition("-")[0]
    for agent in agents:
        for capability in agent.card.capabilities:
            for tag, phrases in capability.examples.items():
                if tag.lower().partition("-")[0] == language:
                    yield from phrases
