"""A conversation of Webex: many calls of its, one live session of ours."""

from __future__ import annotations

import asyncio
import logging
import uuid
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.channels.speech.pcm import seconds_of
from lmos_grpc.channels.voice.answer import Answer
from lmos_grpc.channels.voice.call_leg import CallEnd, CallResult
from lmos_grpc.channels.voice.call_observer import NobodyLooks
from lmos_grpc.channels.voice.mesh_line import MeshLine, Opened
from lmos_grpc.channels.voice.spoken_text import spoken_text
from lmos_grpc.domain.event import Outcome, TurnDone
from lmos_grpc.domain.live_session import (
    CallInfo,
    CancelCause,
    CancelRequest,
    EndReason,
    InputSpec,
    PlaybackReport,
    PlaybackState,
    Recording,
    SessionEnd,
    SessionEnded,
    SessionStart,
    Signal,
    SignalKind,
    Transfer,
)
from lmos_grpc.domain.turn import CallContext
from lmos_grpc.errors import LmosError, UnreachableError
from lmos_grpc.telemetry import attributes as names

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from opentelemetry.trace import Tracer

    from lmos_grpc.channels.byova.caller_input import CallerInput
    from lmos_grpc.channels.byova.settings import ByovaSettings
    from lmos_grpc.channels.speech.engine import Recogniser, Synthesiser
    from lmos_grpc.channels.voice.call_observer import CallObserver
    from lmos_grpc.channels.voice.ear import VoiceDetector
    from lmos_grpc.channels.voice.mouth import Clause
    from lmos_grpc.channels.voice.phrases import Phrases
    from lmos_grpc.clients.converse_client import ConverseClient
    from lmos_grpc.domain.event import AgentEvent
    from lmos_grpc.domain.live_session import KeysPressed, UserText

    Ending = Transfer | SessionEnded

_LOG = logging.getLogger(__name__)
_QUEUE = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class ByovaParts:
    """What all conversations share; to those who look on, a conversation is a call.

    `ready` has the edge's own phrases as speech.
    """

    client: ConverseClient
    recogniser: Recogniser
    synthesiser: Synthesiser
    settings: ByovaSettings
    phrases: Phrases
    ready: Mapping[str, bytes]
    detector: Callable[[], VoiceDetector]
    tracer: Tracer
    observer: CallObserver = field(default_factory=NobodyLooks)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A piece of an answer as sound of 8 kHz."""

    text: str
    pcm: bytes
    interruptible: bool


@dataclass(frozen=True, slots=True)
class AnswerOver:
    """The end of an answer; `ending` is what becomes of the call, None where it goes on."""

    ending: Ending | None = None


@dataclass(slots=True)
class _Turn:
    asked: UserText | KeysPressed
    speech_ended: float
    answer: Answer
    items: asyncio.Queue[Clause | AnswerOver] = field(default_factory=lambda: asyncio.Queue(_QUEUE))
    ending: Ending | None = None
    told: list[tuple[str, float]] = field(default_factory=list)
    sounds_since: float | None = None

    def put(self, item: Clause | AnswerOver) -> None:
        """Never waits: who reads it may be gone. An answer of hundreds of clauses loses the rest of them."""
        with suppress(asyncio.QueueFull):
            self.items.put_nowait(item)


class ByovaConversation:
    """`run` holds the live session, whatever call of Webex comes and goes."""

    def __init__(self, first: CallerInput, parts: ByovaParts) -> None:
        self._parts = parts
        self.id = first.conversation_id
        self.tenant = parts.settings.tenant_of_org.get(first.org_id, parts.settings.tenant)
        settings = parts.settings
        self._now = asyncio.get_running_loop().time
        self._last_used = self._now()
        self._expects = InputSpec()
        self._pause_asked = self._recording_paused = False
        self._result = CallResult(CallEnd.GAVE_UP)
        self.counts = {SignalKind.NO_INPUT: 0, SignalKind.NO_MATCH: 0}
        self.lost = False
        self._turn: _Turn | None = None
        self._open = asyncio.Event()
        self._over = asyncio.Event()
        start = SessionStart(
            # Webex's own id: whichever of several edges a call comes to, it is the same conversation in the mesh.
            conversation_id=first.conversation_id,
            locale=first.language or settings.locale,
            agent=first.agent_id if first.agent_id != DEFAULT_AGENT else "",
            call=CallInfo(call_id=first.conversation_id),
        )
        self._line = MeshLine(
            parts.client,
            start,
            CallContext(tenant=self.tenant, channel=settings.channel),
            on_event=self._take_event,
            on_open=self._session_open,
            on_broken=lambda: parts.observer.mesh_lost(self.id),
            patience=settings.patience,
        )

    @property
    def idle_seconds(self) -> float:
        """How long nothing was heard of it."""
        return self._now() - self._last_used

    def touch(self) -> None:
        """Something was heard of it."""
        self._last_used = self._now()

    @property
    def expects(self) -> InputSpec:
        """The input that is expected. What is not to be recorded is sensitive: Webex has no other word for it."""
        return replace(self._expects, sensitive=self._recording_paused)

    @property
    def sensitive(self) -> bool:
        """Whether what the caller says or types now is sensitive."""
        return self._expects.sensitive

    async def run(self) -> None:
        """Holds the live session until the conversation is over."""
        parts = self._parts
        parts.observer.began(self.id)
        try:
            with parts.tracer.start_as_current_span("telephone call") as span:
                span.set_attribute(names.LMOS_CHANNEL, parts.settings.channel)
                span.set_attribute(names.LMOS_TENANT, self.tenant)
                span.set_attribute(names.GEN_AI_CONVERSATION_ID, self.id)
                await self._run()
        finally:
            parts.observer.ended(self.id, self._result)

    async def _run(self) -> None:
        holding = asyncio.ensure_future(self._line.run())
        closing = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait((holding, closing), return_when=asyncio.FIRST_COMPLETED)
            if holding.done() and isinstance(holding.exception(), UnreachableError):
                _LOG.error("a conversation of Webex has no mesh: %s", holding.exception())
                self.lost = True
                if self._turn:
                    self._turn.put(AnswerOver())
                self._open.set()
                await self._over.wait()
        finally:
            for each in (holding, closing):
                each.cancel()
            await asyncio.gather(holding, closing, return_exceptions=True)

    def end(self, reason: EndReason = EndReason.HANGUP) -> None:
        """The call is over."""
        if self._result.end is CallEnd.GAVE_UP and not self.lost:
            self._result = CallResult(CallEnd.CALLER_HUNG_UP)
        self.interrupt(CancelCause.HANGUP)
        self._line.send(SessionEnd(reason))
        self._over.set()

    def interrupt(self, cause: CancelCause = CancelCause.BARGE_IN) -> bool:
        """The caller speaks: what is still said is not heard any more; whether something was.

        What was heard is told by the time it took.
        """
        turn, self._turn = self._turn, None
        if turn is None:
            return False
        seconds = 0.0 if turn.sounds_since is None else self._now() - turn.sounds_since
        heard, cut = _heard_within(turn.told, seconds)
        span = timedelta(seconds=seconds)
        if turn.answer.outcome is None:
            self._line.send(CancelRequest(turn.asked.turn_id, cause, span, heard))
            turn.put(AnswerOver())
        state = PlaybackState.INTERRUPTED if cut else PlaybackState.COMPLETED
        self._line.send(PlaybackReport(state, turn.asked.turn_id, played=span, heard_text=heard))
        return cut or turn.answer.outcome is None

    def signal(self, kind: SignalKind, count: int = 0) -> None:
        """Tells the mesh what happened."""
        self._line.send(Signal(kind, count))

    async def ask(self, asked: UserText | KeysPressed, silent: timedelta) -> AsyncGenerator[Spoken | AnswerOver, None]:
        """Asks the mesh; gives the answer clause by clause, and its end. The caller has been silent for so long.

        A mesh that is gone, or says nothing in time, is spoken for.
        """
        self.interrupt(CancelCause.NEW_INPUT)
        self.counts = dict.fromkeys(self.counts, 0)
        turn = self._turn = _Turn(asked, self._now() - silent.total_seconds(), Answer(asked.turn_id))
        limit = self._parts.settings.turn_limit.total_seconds()
        try:
            async with asyncio.timeout(limit):
                await self._open.wait()
            if not self.lost:
                self._line.send(asked)
            while not self.lost:
                async with asyncio.timeout(limit):
                    item = await turn.items.get()
                if isinstance(item, AnswerOver):
                    break
                if spoken := await self._spoken(turn, item):
                    yield spoken
        except TimeoutError:
            self._line.send(CancelRequest(asked.turn_id, CancelCause.USER))
            turn.answer.outcome = Outcome.FAILED
        if self.lost:
            yield self.ready(self._parts.phrases.nobody_there)
            yield AnswerOver(Transfer(""))
            return
        if not turn.answer.spoken and self._turn is turn:
            yield self.ready(self._parts.phrases.apology)
        yield AnswerOver(turn.ending)

    def ready(self, text: str) -> Spoken:
        """One of the edge's own phrases."""
        return Spoken(text, self._parts.ready[text], interruptible=True)

    async def _spoken(self, turn: _Turn, clause: Clause) -> Spoken | None:
        locale = clause.locale or self._parts.settings.locale
        try:
            pcm = await self._parts.synthesiser.synthesise(spoken_text(clause.text, locale), locale=locale)
        except LmosError:
            self._parts.observer.engine_failed(self.id, "synthesiser")
            raise
        if not pcm:
            return None
        if turn.sounds_since is None:
            turn.sounds_since = self._now()
            self._parts.observer.responded(self.id, timedelta(seconds=turn.sounds_since - turn.speech_ended))
        turn.told.append((clause.text, seconds_of(len(pcm))))
        return Spoken(clause.text, pcm, clause.interruptible)

    async def _take_event(self, event: AgentEvent) -> None:
        turn = self._turn
        if turn is None or event.turn_id != turn.asked.turn_id:
            return
        for clause in turn.answer.take(event):
            turn.put(clause)
        match event.body:
            case InputSpec():
                self._expects = event.body
                self._tell_recording()
            case Recording(paused):
                self._pause_asked = paused
                self._tell_recording()
            case Transfer(target, _, _, summary):
                turn.ending = event.body
                self._result = CallResult(CallEnd.TRANSFERRED, target, summary)
            case SessionEnded(_, _, summary):
                turn.ending = event.body
                self._result = CallResult(CallEnd.HUNG_UP, summary=summary)
            case TurnDone():
                turn.put(AnswerOver(turn.ending))

    def _tell_recording(self) -> None:
        paused = self._pause_asked or self._expects.sensitive
        if paused != self._recording_paused:
            self._recording_paused = paused
            self._parts.observer.recording(self.id, paused=paused)

    def _session_open(self, opened: Opened) -> None:
        self._open.set()
        if opened is not Opened.FIRST:
            self._parts.observer.mesh_back(self.id, resumed=opened is Opened.RESUMED)
        if opened is not Opened.ANEW or self._turn is None:
            return
        if self._turn.answer.spoken:
            self._turn.put(AnswerOver())
        else:
            # The same id: if the mesh has had it before, it is the same turn.
            self._line.send(self._turn.asked)


DEFAULT_AGENT = "service-desk"


def new_turn_id() -> str:
    """An id that nobody else makes."""
    return uuid.uuid4().hex


def _heard_within(told: list[tuple[str, float]], seconds: float) -> tuple[str, bool]:
    """The words that were heard in so many seconds, and whether something was not."""
    heard = []
    for text, lasts in told:
        if seconds < lasts:
            words = text.split()
            heard += words[: int(len(words) * max(0.0, seconds) / lasts)]
            return " ".join(heard), True
        heard.append(text)
        seconds -= lasts
    return " ".join(heard), False
