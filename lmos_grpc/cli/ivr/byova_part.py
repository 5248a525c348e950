"""The virtual agent of Webex as a part of a process."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.channels.byova.conversation import ByovaParts
from lmos_grpc.channels.byova.jws import JwsCheck
from lmos_grpc.channels.byova.messages import SERVICE, reflected_pool
from lmos_grpc.channels.byova.service import add_virtual_agent, virtual_agent
from lmos_grpc.channels.byova.settings import ByovaSettings
from lmos_grpc.channels.voice.metered_calls import MeteredCalls
from lmos_grpc.channels.voice.phrases import phrases_in
from lmos_grpc.channels.voice.ready_phrases import ready_phrases
from lmos_grpc.channels.voice.webrtc_detector import WebRtcDetector
from lmos_grpc.cli.ivr.metrics_part import metrics_served
from lmos_grpc.cli.ivr.speech_part import SpeechSettings, run_speech
from lmos_grpc.clients.converse_client import ConverseClient
from lmos_grpc.clients.discovery_client import DiscoveryClient
from lmos_grpc.rpc import open_channel, serve
from lmos_grpc.telemetry import CallMetrics, ServerTracingInterceptor, client_interceptors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from opentelemetry.trace import Tracer

    from lmos_grpc.channels.byova.jws import JwsRules
    from lmos_grpc.channels.riva.riva_engines import RivaSettings
    from lmos_grpc.channels.speech.engine import Synthesiser
    from lmos_grpc.channels.speech.openai_engines import OpenAiSpeechSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ByovaPartSettings:
    """What one virtual agent is made with. `jws` None: whoever gets through to it is believed to be Webex.

    `metrics` empty: they are not served.
    """

    edge: str
    listen: str = "127.0.0.1:0"
    byova: ByovaSettings = field(default_factory=ByovaSettings)
    jws: JwsRules | None = None
    phrases: tuple[str, ...] = ()
    processes: int = 2
    server: OpenAiSpeechSettings | RivaSettings | None = None
    drain: timedelta = timedelta(0)
    metrics: str = ""


@dataclass(frozen=True, slots=True)
class RunningByova:
    """A virtual agent that answers at `host:port`, and its synthesiser."""

    address: str
    synthesiser: Synthesiser
    metrics: str = ""


@asynccontextmanager
async def run_byova(settings: ByovaPartSettings, tracer: Tracer) -> AsyncIterator[RunningByova]:
    """Serves Webex until the block ends. The mesh may come and go meanwhile.

    Raises:
        EnvironmentFaultError: something is not installed, or the address cannot be bound.
        InvalidConfigurationError: the keys are none.
    """
    byova = settings.byova
    phrases = phrases_in(byova.locale)
    metrics = CallMetrics()
    check = JwsCheck(settings.jws) if settings.jws else None
    speech = SpeechSettings(
        locale=byova.locale,
        tenant=byova.tenant,
        channel=byova.channel,
        phrases=settings.phrases,
        processes=settings.processes,
        server=settings.server,
    )
    async with open_channel(settings.edge, interceptors=client_interceptors(tracer, address=settings.edge)) as channel:
        discovery = DiscoveryClient(channel)
        async with run_speech(speech, discovery) as (recogniser, synthesiser):
            parts = ByovaParts(
                client=ConverseClient(channel),
                recogniser=recogniser,
                synthesiser=synthesiser,
                settings=byova,
                phrases=phrases,
                ready=await ready_phrases(synthesiser, (byova.greeting, *phrases.all), byova.locale),
                detector=WebRtcDetector,
                tracer=tracer,
                observer=MeteredCalls(metrics),
            )

            async def agents() -> list[str]:
                found = await discovery.list_agents(tenant=byova.tenant, channel=byova.channel)
                return sorted({each.card.name for each in found})

            async with (
                virtual_agent(parts, agents, check=check) as agent,
                serve(
                    settings.listen,
                    register=lambda server: add_virtual_agent(server, agent),
                    services=[SERVICE],
                    interceptors=[ServerTracingInterceptor(tracer)],
                    drain=settings.drain,
                    pool=reflected_pool(),
                ) as server,
                metrics_served(metrics, settings.metrics) as at,
            ):
                yield RunningByova(server.address, synthesiser, at)
