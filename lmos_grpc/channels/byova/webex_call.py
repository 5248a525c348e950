"""One call of Webex: what the caller did goes in, what is to be played comes out."""

from __future__ import annotations

from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from lmos_grpc.channels.byova.caller_audio import CallerAudio
from lmos_grpc.channels.byova.caller_input import Happening, Keys, Sound
from lmos_grpc.channels.byova.conversation import Spoken, new_turn_id
from lmos_grpc.channels.byova.reply import Reply, ReplyEvent, ReplyKind
from lmos_grpc.channels.byova.settings import SoundMode
from lmos_grpc.channels.byova.wave_file import wav_of
from lmos_grpc.channels.speech.g711 import encoded
from lmos_grpc.channels.speech.pcm import SAMPLE_RATE, resampled
from lmos_grpc.channels.voice.ear import Ear, EarEvent
from lmos_grpc.domain.live_session import DtmfEnd, KeysPressed, SignalKind, Transfer, UserText
from lmos_grpc.errors import LmosError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from lmos_grpc.channels.byova.caller_input import CallerInput
    from lmos_grpc.channels.byova.conversation import AnswerOver, ByovaConversation, ByovaParts
    from lmos_grpc.channels.speech.engine import Heard

_LARGEST_CHUNK = 60 * 1_024
_SMALLEST_CHUNK = 100
_FALLBACK = "people"


class SendReply(Protocol):
    """Gives a reply to Webex."""

    def __call__(self, reply: Reply, /) -> Awaitable[None]:
        """Returns when Webex took it."""


class WebexCall:
    """Reads inputs until one of them is answered; what Webex still sends after that is nobody's."""

    def __init__(self, conversation: ByovaConversation, parts: ByovaParts, send: SendReply) -> None:
        self._conversation = conversation
        self._parts = parts
        self._settings = parts.settings
        self._send = send
        self._silent = timedelta(0)
        self._audio = CallerAudio(Ear(parts.detector(), parts.settings.ear))

    async def run(self, inputs: AsyncIterator[CallerInput]) -> None:
        """Answers the call. Its end without speech or keys is no hang-up: a conversation is many calls."""
        async for each in inputs:
            if await self._take(each):
                return
        if self._audio.ear.speaking:
            await self._take_heard(await self._recognised())
        else:
            await self._send(Reply(expects=self._conversation.expects))

    async def _take(self, each: CallerInput) -> bool:
        """Takes an input in; whether the call is answered by that."""
        match each.given:
            case Sound():
                return await self._take_sound(each.given)
            case Keys(digits) if digits:
                sensitive = self._conversation.sensitive
                keys = KeysPressed(digits, end=DtmfEnd.LENGTH, sensitive=sensitive, turn_id=new_turn_id())
                await self._answer(keys)
            case Happening.SESSION_START:
                await self._greet()
            case Happening.SESSION_END:
                self._conversation.end()
                await self._send(Reply())
            case Happening.START_OF_DTMF:
                self._conversation.interrupt()
                self._conversation.signal(SignalKind.DTMF_STARTED)
                await self._send(Reply(event=ReplyEvent.START_OF_INPUT, expects=self._conversation.expects))
            case Happening.NO_INPUT:
                await self._ask_again(SignalKind.NO_INPUT)
            case Keys() | Happening.CUSTOM:
                await self._send(Reply(expects=self._conversation.expects))
            case None:
                return False
        return True

    # --- what the caller says --------------------------------------------------------------------------------------

    async def _take_sound(self, sound: Sound) -> bool:
        for event in self._audio.hear(sound):
            match event:
                case EarEvent.STARTED:
                    await self._speech_started()
                case EarEvent.PAUSED if (heard := await self._recognised()).complete:
                    await self._take_heard(heard)
                    return True
                case EarEvent.ENDED:
                    await self._take_heard(await self._recognised())
                    return True
        return False

    async def _speech_started(self) -> None:
        if self._conversation.interrupt():
            onset = timedelta(milliseconds=self._audio.ear.onset_milliseconds)
            self._parts.observer.interrupted(self._conversation.id, onset)
        self._conversation.signal(SignalKind.SPEECH_STARTED)
        # By itself and at once: it is what makes Webex cease to play.
        await self._send(Reply(event=ReplyEvent.START_OF_INPUT, expects=self._conversation.expects))

    async def _recognised(self) -> Heard:
        self._silent = timedelta(milliseconds=self._audio.ear.silent_milliseconds)
        try:
            return await self._parts.recogniser.recognise(
                self._audio.ear.utterance, locale=self._settings.locale, hints=self._conversation.expects.hints
            )
        except LmosError:
            self._parts.observer.engine_failed(self._conversation.id, "recogniser")
            raise

    async def _take_heard(self, heard: Heard) -> None:
        self._audio.ear.forget()
        self._conversation.signal(SignalKind.SPEECH_ENDED)
        if not heard.text:
            await self._ask_again(SignalKind.NO_MATCH)
            return
        said = UserText(
            heard.text,
            turn_id=new_turn_id(),
            confidence=heard.confidence,
            locale=self._settings.locale,
            sensitive=self._conversation.sensitive,
        )
        kind = ReplyKind.CHUNK if self._settings.sound is SoundMode.CHUNKS else ReplyKind.PARTIAL
        await self._send(Reply(kind, event=ReplyEvent.END_OF_INPUT, expects=self._conversation.expects))
        await self._answer(said)

    # --- what is played to the caller ------------------------------------------------------------------------------

    async def _greet(self) -> None:
        greeting = self._settings.greeting or self._parts.phrases.greeting
        await self._play_all([self._conversation.ready(greeting)])

    async def _ask_again(self, kind: SignalKind) -> None:
        counts, phrases = self._conversation.counts, self._parts.phrases
        counts[kind] += 1
        self._conversation.signal(kind, counts[kind])
        self._parts.observer.asked_again(self._conversation.id, kind)
        event = ReplyEvent.NO_INPUT if kind is SignalKind.NO_INPUT else ReplyEvent.NO_MATCH
        if counts[kind] > self._settings.max_reprompts:
            spoken = self._conversation.ready(phrases.nobody_there)
            await self._play_all([spoken], ReplyEvent.TRANSFER_TO_AGENT, {"target": _FALLBACK})
            return
        texts = phrases.no_input if kind is SignalKind.NO_INPUT else phrases.no_match
        await self._play_all([self._conversation.ready(texts[min(counts[kind], len(texts)) - 1])], event)

    async def _answer(self, asked: UserText | KeysPressed) -> None:
        pieces: list[Spoken] = []
        async with aclosing(self._conversation.ask(asked, self._silent)) as answer:
            async for each in answer:
                if not isinstance(each, Spoken):
                    await self._end(pieces, each)
                elif self._settings.sound is SoundMode.CHUNKS:
                    await self._chunks(each)
                    pieces.append(each)
                else:
                    pieces.append(each)

    async def _end(self, pieces: list[Spoken], over: AnswerOver) -> None:
        event, metadata, summary = None, {}, ""
        if over.ending:
            transfers = isinstance(over.ending, Transfer)
            event = ReplyEvent.TRANSFER_TO_AGENT if transfers else ReplyEvent.SESSION_END
            summary = over.ending.summary
            if isinstance(over.ending, Transfer):
                metadata = {"target": over.ending.target or _FALLBACK}
        if self._settings.sound is SoundMode.CHUNKS:
            await self._finish(pieces, event, metadata, summary, sound=b"")
        else:
            await self._finish(pieces, event, metadata, summary, sound=self._wav(pieces))

    async def _play_all(
        self, pieces: list[Spoken], event: ReplyEvent | None = None, metadata: dict[str, str] | None = None
    ) -> None:
        if self._settings.sound is SoundMode.CHUNKS:
            for each in pieces:
                await self._chunks(each)
            await self._finish(pieces, event, metadata or {}, "", sound=b"")
        else:
            await self._finish(pieces, event, metadata or {}, "", sound=self._wav(pieces))

    async def _finish(
        self, pieces: list[Spoken], event: ReplyEvent | None, metadata: dict[str, str], summary: str, *, sound: bytes
    ) -> None:
        ends = event in (ReplyEvent.TRANSFER_TO_AGENT, ReplyEvent.SESSION_END)
        await self._send(
            Reply(
                ReplyKind.FINAL,
                text=" ".join(each.text for each in pieces),
                sound=sound,
                interruptible=not ends and all(each.interruptible for each in pieces),
                event=event,
                metadata=metadata,
                expects=self._conversation.expects,
                summary=summary,
            )
        )

    async def _chunks(self, spoken: Spoken) -> None:
        sound = self._coded(spoken.pcm)
        # As large as they may be, and none so small as to be refused.
        for at in range(0, len(sound), _LARGEST_CHUNK):
            chunk = sound[at : at + _LARGEST_CHUNK]
            if len(chunk) < _SMALLEST_CHUNK:
                chunk = chunk.ljust(_SMALLEST_CHUNK, self._coded(bytes(2))[:1])
            await self._send(Reply(ReplyKind.CHUNK, sound=chunk, interruptible=spoken.interruptible))

    def _wav(self, pieces: list[Spoken]) -> bytes:
        sound = self._coded(b"".join(each.pcm for each in pieces))
        return wav_of(sound, self._audio.coding, self._audio.rate)

    def _coded(self, pcm: bytes) -> bytes:
        """In the caller's own coding and rate, which is what Webex can play."""
        return encoded(resampled(pcm, SAMPLE_RATE, self._audio.rate), self._audio.coding)
