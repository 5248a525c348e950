"""The speech engines as a part of a process; they listen for what the agents of the mesh understand."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.channels.riva.riva_engines import RivaSettings, riva_engines
from lmos_grpc.channels.speech.offline_engines import offline_engines, require_packages
from lmos_grpc.channels.speech.openai_engines import (
    OpenAiRecogniser,
    OpenAiSpeechSettings,
    OpenAiSynthesiser,
    openai_client,
)
from lmos_grpc.cli.running import beside
from lmos_grpc.errors import LmosError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from lmos_grpc.channels.speech.engine import Recogniser, Synthesiser
    from lmos_grpc.channels.speech.offline_engines import SphinxRecogniser
    from lmos_grpc.clients.discovery_client import DiscoveryClient
    from lmos_grpc.domain.instance import Agent

_LOG = logging.getLogger(__name__)
_PHRASES_EVERY = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechSettings:
    """For whom and in which language; `phrases` are listened for beside those of the agents' cards.

    `server` stands in for the offline engines, as far as it has a model of either kind.
    """

    locale: str = "en"
    tenant: str = "default"
    channel: str = "ivr"
    phrases: tuple[str, ...] = ()
    processes: int = 2
    server: OpenAiSpeechSettings | RivaSettings | None = None


@asynccontextmanager
async def run_speech(
    settings: SpeechSettings, discovery: DiscoveryClient
) -> AsyncIterator[tuple[Recogniser, Synthesiser]]:
    """A recogniser and a synthesiser, until the block ends. Discovery may come and go meanwhile.

    Raises:
        EnvironmentFaultError: the engines are not installed.
    """
    require_packages()  # whoever makes words of speech: where it begins and ends is told here
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        match settings.server:
            case RivaSettings():
                yield await enter(riva_engines(settings.server))
            case OpenAiSpeechSettings():
                yield await enter(_openai(settings, settings.server, discovery))
            case None:
                yield await enter(_offline(settings, discovery))


@asynccontextmanager
async def _offline(
    settings: SpeechSettings, discovery: DiscoveryClient
) -> AsyncIterator[tuple[Recogniser, Synthesiser]]:
    async with offline_engines(settings.phrases, processes=settings.processes) as (recogniser, synthesiser):
        listening = _Listening(recogniser, discovery, settings)
        await listening.learn()
        async with beside(listening.keep_learning()):
            yield recogniser, synthesiser


@asynccontextmanager
async def _openai(
    settings: SpeechSettings, server: OpenAiSpeechSettings, discovery: DiscoveryClient
) -> AsyncIterator[tuple[Recogniser, Synthesiser]]:
    async with openai_client(server) as client, AsyncExitStack() as stack:
        recogniser = OpenAiRecogniser(client, server.transcription_model) if server.transcription_model else None
        synthesiser = OpenAiSynthesiser(client, server.speech_model, server.voice) if server.speech_model else None
        if recogniser and synthesiser:
            yield recogniser, synthesiser
            return
        heard_by, spoken_by = await stack.enter_async_context(_offline(settings, discovery))
        yield recogniser or heard_by, synthesiser or spoken_by


@dataclass(frozen=True, slots=True)
class _Listening:
    """Keeps the recogniser's grammar as the agents' cards have it: callers say what agents understand."""

    recogniser: SphinxRecogniser
    discovery: DiscoveryClient
    settings: SpeechSettings

    async def learn(self) -> None:
        try:
            agents = await self.discovery.list_agents(tenant=self.settings.tenant, channel=self.settings.channel)
        except LmosError as error:
            _LOG.warning("cannot read what agents understand, and go on with what is known: %s", error)
            return
        await self.recogniser.listen_for((*self.settings.phrases, *_examples(agents, self.settings.locale)))

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
