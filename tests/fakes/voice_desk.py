"""A voice edge with speech engines of paper: what is loud is speech, and the words come from the test."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
from opentelemetry.trace import NoOpTracer

from lmos_grpc.channels.audiosocket.voice_edge import voice_edge
from lmos_grpc.channels.speech.engine import Heard
from lmos_grpc.channels.speech.pcm import FRAME_BYTES
from lmos_grpc.channels.voice.call_observer import NobodyLooks
from lmos_grpc.channels.voice.call_parts import CallParts
from lmos_grpc.channels.voice.ear import EarSettings
from lmos_grpc.channels.voice.mesh_line import LinePatience
from lmos_grpc.channels.voice.phrases import Phrases
from lmos_grpc.channels.voice.ready_phrases import ready_phrases
from lmos_grpc.channels.voice.settings import VoiceSettings
from lmos_grpc.cli.ivr.phone import phone_call
from lmos_grpc.clients.converse_client import ConverseClient
from lmos_grpc.errors import ModelUnavailableError
from lmos_grpc.rpc import open_channel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from lmos_grpc.channels.voice.call_leg import CallResult
    from lmos_grpc.cli.ivr.phone import Phone

LOUD_FRAME = (np.ones(FRAME_BYTES // 2) * 3_000).astype(np.int16).tobytes()
PHRASES = Phrases(
    greeting="hello",
    filler="wait",
    no_input=("quiet once", "quiet twice"),
    no_match=("what", "what else"),
    apology="sorry",
    reconnecting="hold on",
    nobody_there="nobody is here",
    nothing_heard="goodbye then",
)


def speech(milliseconds: int) -> bytes:
    """Speech of the caller."""
    return LOUD_FRAME * (milliseconds // 20)


class LoudIsVoice:
    """A `VoiceDetector`."""

    def is_voice(self, frame: bytes) -> bool:
        return frame == LOUD_FRAME


@dataclass
class PaperRecogniser:
    """Understands what the test says that the next utterance is; nothing left is nothing understood."""

    texts: list[str] = field(default_factory=list)
    fails: bool = False

    async def recognise(self, pcm: bytes, *, locale: str, hints: Sequence[str]) -> Heard:
        del pcm, locale, hints
        if self.fails:
            raise ModelUnavailableError("no engine")
        return Heard(self.texts.pop(0), complete=True) if self.texts else Heard()


@dataclass
class PaperSynthesiser:
    """Each text sounds for 100 ms a word, at a pitch of its own, by which a test can find it again."""

    fails: bool = False

    async def synthesise(self, text: str, *, locale: str) -> bytes:
        del locale
        if self.fails:
            raise ModelUnavailableError("no engine")
        return sound_of(text)


def sound_of(text: str) -> bytes:
    """How a text sounds."""
    pitch = 200 + sum(text.encode()) % 1_500
    at = np.arange(800 * max(1, len(text.split()))) / 8_000
    return (6_000 * np.sin(2 * np.pi * pitch * at)).astype(np.int16).tobytes()


@dataclass
class Watching(NobodyLooks):
    """A `CallObserver`."""

    asked_texts: list[str] = field(default_factory=list)
    spoken: list[str] = field(default_factory=list)
    results: list[CallResult] = field(default_factory=list)
    recordings: list[bool] = field(default_factory=list)
    resumed: list[bool] = field(default_factory=list)
    interruptions: list[timedelta] = field(default_factory=list)
    at_mesh_back: Callable[[], None] = field(default=lambda: None)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def asked(self, call_id: str, text: str) -> None:
        del call_id
        self.asked_texts.append(text)

    def spoke(self, call_id: str, text: str) -> None:
        del call_id
        self.spoken.append(text)

    def responded(self, call_id: str, after: timedelta) -> None:
        del call_id
        assert after >= timedelta(0)

    def recording(self, call_id: str, *, paused: bool) -> None:
        del call_id
        self.recordings.append(paused)

    def mesh_back(self, call_id: str, *, resumed: bool) -> None:
        del call_id
        self.resumed.append(resumed)
        self.at_mesh_back()

    def interrupted(self, call_id: str, after: timedelta) -> None:
        del call_id
        self.interruptions.append(after)

    def ended(self, call_id: str, result: CallResult) -> None:
        del call_id
        self.results.append(result)
        self.over.set()


@dataclass
class Desk:
    """What a test of a call needs."""

    address: str
    phone: Phone
    recogniser: PaperRecogniser
    synthesiser: PaperSynthesiser
    watching: Watching

    async def say(self, text: str, milliseconds: int = 400) -> tuple[float, float]:
        """The caller says something that is understood as this text."""
        self.recogniser.texts = [text] if text else []
        return await self.phone.say(speech(milliseconds))

    async def hears(self, text: str) -> None:
        """Waits until the caller begins to hear a text."""
        await self.phone.until(lambda: text in self.watching.spoken, 10)

    async def ends(self) -> CallResult:
        """Waits until the call is over."""
        async with asyncio.timeout(10):
            await self.watching.over.wait()
        return self.watching.results[0]

    def heard_in_full(self, text: str) -> bool:
        """Whether the caller heard all of a text."""
        return sound_of(text) in self.phone.record.heard.pcm


def settings(**changes: timedelta | str | int | LinePatience) -> VoiceSettings:
    """Times short enough for a test, and long enough for a busy machine."""
    given: dict[str, timedelta | str | int | EarSettings | LinePatience] = {
        "no_input_after": timedelta(seconds=5),
        "patience": LinePatience(connect=timedelta(seconds=2), away=timedelta(seconds=2)),
        "ear": EarSettings(complete_silence=200, incomplete_silence=400),
        **changes,
    }
    return VoiceSettings(**given)  # type: ignore[arg-type] # the names are those of the class


@asynccontextmanager
async def voice_desk(mesh: str, voice: VoiceSettings, *, max_calls: int = 5) -> AsyncIterator[Desk]:
    """A call to a voice edge in front of a mesh, or of a single agent, at an address."""
    recogniser, synthesiser, watching = PaperRecogniser(), PaperSynthesiser(), Watching()
    async with open_channel(mesh) as channel:
        parts = CallParts(
            client=ConverseClient(channel),
            recogniser=recogniser,
            synthesiser=synthesiser,
            settings=voice,
            phrases=PHRASES,
            ready=await ready_phrases(synthesiser, PHRASES.all, voice.locale),
            detector=LoudIsVoice,
            observer=watching,
            tracer=NoOpTracer(),
        )
        async with voice_edge(parts, "127.0.0.1:0", max_calls=max_calls) as edge, phone_call(edge.address) as phone:
            yield Desk(edge.address, phone, recogniser, synthesiser, watching)
