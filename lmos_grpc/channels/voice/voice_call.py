"""One call, from the greeting to its end: what is heard goes to the mesh, what the mesh says is played."""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.channels.speech.pcm import FRAME_MILLISECONDS, SILENCE
from lmos_grpc.channels.voice.answer import Answer
from lmos_grpc.channels.voice.call_book import CallBook
from lmos_grpc.channels.voice.call_leg import CallEnd, CallResult, Key
from lmos_grpc.channels.voice.call_timers import CallTimers, Timer
from lmos_grpc.channels.voice.ear import Ear, EarEvent
from lmos_grpc.channels.voice.keypad import Keypad
from lmos_grpc.channels.voice.mesh_line import MeshLine
from lmos_grpc.channels.voice.mouth import Clause, Mouth
from lmos_grpc.channels.voice.playlist import EndMark
from lmos_grpc.domain.event import Outcome, TurnDone
from lmos_grpc.domain.live_session import (
    CallInfo,
    CancelCause,
    CancelRequest,
    EndReason,
    InputMode,
    InputSpec,
    Ping,
    PlaybackReport,
    PlaybackState,
    SessionEnd,
    SessionEnded,
    SessionStart,
    Signal,
    SignalKind,
    Transfer,
    UserText,
)
from lmos_grpc.domain.turn import CallContext
from lmos_grpc.errors import LmosError, UnreachableError
from lmos_grpc.telemetry import attributes as names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.trace import Tracer

    from lmos_grpc.channels.speech.engine import Heard, Recogniser, Synthesiser
    from lmos_grpc.channels.voice.call_leg import CallLeg
    from lmos_grpc.channels.voice.call_observer import CallObserver
    from lmos_grpc.channels.voice.ear import VoiceDetector
    from lmos_grpc.channels.voice.phrases import Phrases
    from lmos_grpc.channels.voice.playlist import Piece
    from lmos_grpc.channels.voice.settings import VoiceSettings
    from lmos_grpc.clients.converse_client import ConverseClient
    from lmos_grpc.domain.event import AgentEvent
    from lmos_grpc.domain.live_session import (
        KeysPressed,
    )

_LOG = logging.getLogger(__name__)
_KEEPALIVE = timedelta(seconds=20)
_FRAME_SECONDS = FRAME_MILLISECONDS / 1_000
# A loop that was held up for longer than this does not make up for it: the caller would hear a rush.
_LATEST_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class CallParts:
    """What all calls of an edge share. `ready` has the phrases of the edge as speech."""

    client: ConverseClient
    recogniser: Recogniser
    synthesiser: Synthesiser
    settings: VoiceSettings
    phrases: Phrases
    ready: Mapping[str, bytes]
    detector: Callable[[], VoiceDetector]
    observer: CallObserver
    tracer: Tracer
    book: CallBook = field(default_factory=CallBook)


@dataclass(slots=True)
class _Turn:
    """The turn that the caller waits for, or listens to."""

    asked: UserText | KeysPressed
    speech_ended: float
    asked_anew: bool
    answer: Answer = field(init=False)
    sounded: bool = False

    def __post_init__(self) -> None:
        self.answer = Answer(self.id)

    @property
    def id(self) -> str:
        return self.asked.turn_id


class VoiceCall:
    """Runs in the tasks of `run`; every method is called in one of them, so nothing here waits but where it says so."""

    def __init__(
        self, leg: CallLeg, parts: CallParts, *, info: CallInfo | None = None, new_id: Callable[[], str] | None = None
    ) -> None:
        self._leg = leg
        self._parts = parts
        self._settings = parts.settings
        self._new_id = new_id or (lambda: uuid.uuid4().hex)
        self._now = asyncio.get_running_loop().time
        self._ear = Ear(parts.detector(), self._settings.ear)
        self._keypad = Keypad()
        self._mouth = Mouth(
            parts.synthesiser,
            parts.ready,
            self._settings.locale,
            on_piece=self._sounds,
            on_failure=self._give_up,
        )
        self._timers = CallTimers()
        self._conversation_id = self._new_id()
        start = SessionStart(
            conversation_id=self._conversation_id,
            locale=self._settings.locale,
            agent=self._settings.agent,
            call=info or CallInfo(call_id=leg.call_id),
        )
        self._line = MeshLine(
            parts.client,
            start,
            CallContext(tenant=self._settings.tenant, channel=self._settings.channel),
            on_event=self._take_event,
            on_ready=self._session_open,
            on_broken=self._session_broken,
            connect_limit=self._settings.connect_limit,
            reconnects=self._settings.reconnects,
        )
        self._spec = InputSpec()
        self._turn: _Turn | None = None
        self._candidate: Heard | None = None
        self._utterances = 0
        self._barging = False
        self._confirmed = False
        self._counts = {SignalKind.NO_INPUT: 0, SignalKind.NO_MATCH: 0}
        self._ending: CallResult | None = None
        self._result: CallResult | None = None
        self._over = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> CallResult:
        """Holds the call until it is over, and gives it back to the telephone system."""
        # The live session and all that comes of it belong to one trace: that of the call.
        with self._parts.tracer.start_as_current_span("telephone call") as span:
            span.set_attribute(names.LMOS_CHANNEL, self._settings.channel)
            span.set_attribute(names.LMOS_TENANT, self._settings.tenant)
            span.set_attribute(names.GEN_AI_CONVERSATION_ID, self._conversation_id)
            return await self._run()

    async def _run(self) -> CallResult:
        try:
            async with asyncio.TaskGroup() as self._tasks:
                running = [
                    self._tasks.create_task(each)
                    for each in (self._listen(), self._play(), self._mouth.run(), self._hold_line())
                ]
                self._greet()
                await self._over.wait()
                for each in running:
                    each.cancel()
        finally:
            await self._leg.hang_up()
        result = self._result or CallResult(CallEnd.GAVE_UP)
        self._parts.observer.ended(self._leg.call_id, result)
        return result

    # --- the tasks -------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        async for each in self._leg.heard():
            if isinstance(each, Key):
                await self._take_key(each.key)
            else:
                await self._take_frame(each)
        self._end_session(CallResult(CallEnd.CALLER_HUNG_UP), EndReason.HANGUP)

    async def _play(self) -> None:
        due = self._now()
        while True:
            frame = self._mouth.next_frame()
            self._leg.play(frame or SILENCE)
            await self._tick(self._now())
            due += _FRAME_SECONDS
            wait = due - self._now()
            if wait < -_LATEST_SECONDS:
                due = self._now()
            await asyncio.sleep(max(0.0, wait))

    async def _hold_line(self) -> None:
        try:
            await self._line.run()
        except UnreachableError as error:
            _LOG.error("call %s: %s", self._leg.call_id, error)
            self._give_up()
        else:
            if self._result:
                self._over.set()
            await self._end_after_playback(CallResult(CallEnd.HUNG_UP))

    # --- what the caller does --------------------------------------------------------------------------------------

    async def _take_frame(self, frame: bytes) -> None:
        if self._ending or self._spec.mode in (InputMode.DTMF, InputMode.NONE):
            return
        match self._ear.hear(frame):
            case EarEvent.STARTED:
                self._speech_started()
            case EarEvent.CONFIRMED:
                self._confirmed = True
                if self._barging:
                    self._interrupt()
            case EarEvent.PAUSED:
                self._understand(final=False)
            case EarEvent.ENDED:
                self._understand(final=True)
                # What comes next is another utterance, whatever becomes of this one.
                self._ear.forget()
        await self._settle_candidate()

    async def _settle_candidate(self) -> None:
        """Takes a whole phrase once the caller was silent long enough, and not where the caller went on."""
        heard, silent = self._candidate, self._ear.silent_milliseconds
        if heard is None or 0 < silent < self._ear.settings.complete_silence:
            return
        self._candidate = None
        if silent:
            self._utterances += 1  # what is still being recognised is outrun
            self._ear.forget()
            await self._take_heard(heard, self._now() - silent / 1_000, confirmed=self._confirmed)

    def _speech_started(self) -> None:
        self._candidate, self._confirmed = None, False
        self._timers.stop(Timer.NO_INPUT)
        if not self._mouth.playlist.idle:
            if not self._mouth.playlist.interruptible:
                self._ear.forget()
                return
            # Silent at once, and for good once it is sure that this is speech.
            self._mouth.playlist.paused = self._barging = True
        self._line.send(Signal(SignalKind.SPEECH_STARTED))

    def _understand(self, *, final: bool) -> None:
        assert self._tasks is not None  # noqa: S101 # called by its tasks only
        if final:
            self._utterances += 1
        ended_at = self._now() - self._ear.silent_milliseconds / 1_000
        recognising = self._recognise(
            self._ear.utterance, self._utterances, ended_at, confirmed=self._confirmed, final=final
        )
        self._tasks.create_task(recognising)

    async def _recognise(self, pcm: bytes, number: int, ended_at: float, *, confirmed: bool, final: bool) -> None:
        hints = self._spec.hints
        try:
            heard = await self._parts.recogniser.recognise(pcm, locale=self._settings.locale, hints=hints)
        except LmosError as error:
            _LOG.error("call %s: a recogniser failed: %s", self._leg.call_id, error)
            self._give_up()
            return
        if number != self._utterances:
            return
        if final:
            await self._take_heard(heard, ended_at, confirmed=confirmed)
        elif heard.complete:
            self._candidate = heard

    async def _take_heard(self, heard: Heard, ended_at: float, *, confirmed: bool) -> None:
        if self._ending:
            return
        self._line.send(Signal(SignalKind.SPEECH_ENDED))
        if heard.text:
            said = UserText(
                heard.text,
                turn_id=self._new_id(),
                confidence=heard.confidence,
                locale=self._settings.locale,
                sensitive=self._spec.sensitive,
            )
            await self._begin_turn(said, ended_at)
        elif self._barging:
            # A cough, or somebody in the background: nothing happened.
            self._mouth.playlist.paused = self._barging = False
        elif self._turn is None and confirmed:
            await self._ask_again(SignalKind.NO_MATCH)
        elif self._turn is None:
            self._await_input()

    async def _take_key(self, key: str) -> None:
        if self._ending or self._spec.mode is InputMode.NONE:
            return
        self._timers.stop(Timer.NO_INPUT)
        if not self._keypad.collecting:
            self._line.send(Signal(SignalKind.DTMF_STARTED))
        if not self._mouth.playlist.idle and self._mouth.playlist.interruptible:
            self._interrupt()
        pressed = self._keypad.press(key, self._now())
        if pressed:
            await self._begin_turn(replace(pressed, turn_id=self._new_id()), self._now())

    async def _begin_turn(
        self, asked: UserText | KeysPressed, speech_ended: float, *, asked_anew: bool = False
    ) -> None:
        if self._turn or not self._mouth.playlist.idle:
            self._interrupt(CancelCause.NEW_INPUT)
        self._counts = dict.fromkeys(self._counts, 0)
        self._turn = _Turn(asked, speech_ended, asked_anew)
        now = self._now()
        self._timers.stop(Timer.NO_INPUT)
        self._timers.start(Timer.FILLER, now, self._settings.filler_after)
        self._timers.start(Timer.TURN, now, self._settings.turn_limit)
        self._line.send(asked)
        if not asked.sensitive:
            words = asked.text if isinstance(asked, UserText) else asked.digits
            self._parts.observer.asked(self._leg.call_id, words)

    def _interrupt(self, cause: CancelCause = CancelCause.BARGE_IN) -> None:
        heard = self._mouth.fall_silent()
        self._barging = False
        turn, self._turn = self._turn, None
        self._timers.stop(Timer.FILLER, Timer.TURN)
        turn_id = turn.id if turn else heard.turn_id
        if turn and turn.answer.outcome is None:
            text = heard.text if heard.turn_id == turn_id else ""
            self._line.send(CancelRequest(turn_id, cause, heard.played, text))
        if turn_id and heard.turn_id == turn_id:
            self._line.send(
                PlaybackReport(PlaybackState.INTERRUPTED, turn_id, played=heard.played, heard_text=heard.text)
            )

    # --- what the mesh does ----------------------------------------------------------------------------------------

    def _session_open(self, again: bool) -> None:  # noqa: FBT001 # a callback with one argument
        self._timers.start(Timer.PING, self._now(), _KEEPALIVE)
        if self._turn and not self._turn.answer.spoken:
            # The same id: if the mesh has had it before, it is the same turn.
            self._line.send(self._turn.asked)
        elif again and self._turn:
            self._forget_turn()
            self._apologise()

    def _session_broken(self) -> None:
        if self._ending or self._over.is_set():
            return
        if self._mouth.playlist.idle:
            self._mouth.say_ready(Clause("", self._parts.phrases.reconnecting))

    async def _take_event(self, event: AgentEvent) -> None:
        body, turn = event.body, self._turn
        # Whatever comes of a turn that was interrupted comes too late.
        if self._ending or turn is None or event.turn_id != turn.id:
            return
        for clause in turn.answer.take(event):
            self._timers.stop(Timer.FILLER)
            self._timers.start(Timer.TURN, self._now(), self._settings.turn_limit)
            await self._mouth.say(clause)
        match body:
            case InputSpec():
                self._expect(body)
            case Transfer(target, _, after_playback, summary):
                await self._end_with(CallResult(CallEnd.TRANSFERRED, target, summary), after_playback=after_playback)
            case SessionEnded(_, after_playback, summary):
                await self._end_with(CallResult(CallEnd.HUNG_UP, summary=summary), after_playback=after_playback)
            case TurnDone():
                await self._turn_done(turn)

    def _expect(self, spec: InputSpec) -> None:
        self._spec = spec
        self._keypad.expect(spec.dtmf, sensitive=spec.sensitive)
        given = (spec.complete_silence, spec.incomplete_silence, spec.max_speech)
        own = self._settings.ear
        milliseconds = [int(each / timedelta(milliseconds=1)) if each else 0 for each in given]
        self._ear.settings = replace(
            own,
            complete_silence=milliseconds[0] or own.complete_silence,
            incomplete_silence=milliseconds[1] or own.incomplete_silence,
            max_speech=milliseconds[2] or own.max_speech,
        )

    async def _turn_done(self, turn: _Turn) -> None:
        self._timers.stop(Timer.FILLER, Timer.TURN)
        silent = not turn.answer.spoken
        if silent and turn.answer.outcome is Outcome.CANCELLED and not turn.asked_anew:
            # It was cut off with the session that broke, and not by the caller, who still waits.
            await self._ask_anew(turn)
        elif silent and turn.answer.outcome in (Outcome.FAILED, Outcome.CANCELLED):
            self._forget_turn()
            self._apologise()
        elif self._ending is None:
            await self._mouth.mark(EndMark(turn.id, lambda: self._turn_played(turn)))

    async def _ask_anew(self, turn: _Turn) -> None:
        self._turn = None
        asked = replace(turn.asked, turn_id=self._new_id())
        await self._begin_turn(asked, turn.speech_ended, asked_anew=True)

    def _turn_played(self, turn: _Turn) -> None:
        self._line.send(PlaybackReport(PlaybackState.COMPLETED, turn.id, played=self._mouth.playlist.heard().played))
        if self._turn is turn:
            self._turn = None
        self._await_input()

    def _forget_turn(self) -> None:
        self._turn = None
        self._timers.stop(Timer.FILLER, Timer.TURN)

    # --- what the edge says by itself ------------------------------------------------------------------------------

    def _greet(self) -> None:
        self._timers.start(Timer.CALL, self._now(), self._settings.longest_call)
        greeting = self._settings.greeting or self._parts.phrases.greeting
        self._mouth.say_ready(Clause("", greeting), EndMark("", self._await_input))

    def _apologise(self) -> None:
        self._mouth.say_ready(Clause("", self._parts.phrases.apology), EndMark("", self._await_input))

    def _await_input(self) -> None:
        if not self._ending:
            after = self._spec.no_input_timeout or self._settings.no_input_after
            self._timers.start(Timer.NO_INPUT, self._now(), after)

    async def _ask_again(self, kind: SignalKind) -> None:
        self._counts[kind] += 1
        count = self._counts[kind]
        self._line.send(Signal(kind, count))
        if count > self._settings.max_reprompts:
            closing, result = self._last_words(kind)
            await self._end_with(result, after_playback=True, saying=closing)
            return
        phrases = self._parts.phrases
        texts = phrases.no_input if kind is SignalKind.NO_INPUT else phrases.no_match
        self._mouth.say_ready(Clause("", texts[min(count, len(texts)) - 1]), EndMark("", self._await_input))

    def _last_words(self, kind: SignalKind) -> tuple[str, CallResult]:
        if kind is SignalKind.NO_INPUT or not self._settings.fallback_target:
            return self._parts.phrases.nothing_heard, CallResult(CallEnd.HUNG_UP)
        return self._parts.phrases.nobody_there, CallResult(CallEnd.TRANSFERRED, self._settings.fallback_target)

    async def _tick(self, now: float) -> None:
        if pressed := self._keypad.overdue(now):
            await self._begin_turn(replace(pressed, turn_id=self._new_id()), now)
        for timer in self._timers.due(now):
            await self._run_out(timer, now)

    async def _run_out(self, timer: Timer, now: float) -> None:
        match timer:
            case Timer.NO_INPUT if self._turn is None and not self._ear.speaking and not self._keypad.collecting:
                await self._ask_again(SignalKind.NO_INPUT)
            case Timer.FILLER if self._mouth.playlist.idle:
                self._mouth.say_ready(Clause("", self._parts.phrases.filler))
            case Timer.TURN if self._turn and not self._mouth.playlist.idle:
                # Something is still heard; silence comes after it, if it comes.
                self._timers.start(Timer.TURN, now, self._settings.turn_limit)
            case Timer.TURN if self._turn:
                self._interrupt(CancelCause.USER)
                self._apologise()
            case Timer.PING:
                self._line.send(Ping(int(now)))
                self._timers.start(Timer.PING, now, _KEEPALIVE)
            case Timer.CALL:
                await self._end_after_playback(CallResult(CallEnd.HUNG_UP))
            case Timer.WRAP_UP:
                self._over.set()

    def _sounds(self, piece: Piece) -> None:
        self._parts.observer.spoke(self._leg.call_id, piece.text)
        turn = self._turn
        if turn and not turn.sounded and piece.turn_id == turn.id:
            turn.sounded = True
            self._parts.observer.responded(self._leg.call_id, timedelta(seconds=self._now() - turn.speech_ended))

    # --- the end ---------------------------------------------------------------------------------------------------

    async def _end_with(self, result: CallResult, *, after_playback: bool, saying: str = "") -> None:
        if self._ending or self._over.is_set():
            return
        if not after_playback:
            self._mouth.fall_silent()
        if saying:
            self._mouth.say_ready(Clause("", saying, interruptible=False))
        await self._end_after_playback(result)

    async def _end_after_playback(self, result: CallResult) -> None:
        """From here on nothing interrupts: what was said is played to its end, and then the call ends."""
        if self._ending:
            return
        self._ending = result
        self._mouth.playlist.paused = self._barging = False
        self._timers.stop(Timer.NO_INPUT, Timer.FILLER, Timer.TURN)
        reason = EndReason.TRANSFERRED if result.end is CallEnd.TRANSFERRED else EndReason.DONE
        turn_id = self._turn.id if self._turn else ""
        await self._mouth.mark(EndMark(turn_id, lambda: self._end_session(result, reason)))

    def _give_up(self) -> None:
        """The mesh or a speech engine is gone: what is said now is speech already, and then the call goes elsewhere."""
        if self._ending or self._over.is_set():
            return
        self._mouth.fall_silent()
        target = self._settings.fallback_target
        self._ending = CallResult(CallEnd.TRANSFERRED if target else CallEnd.GAVE_UP, target)
        closing = Clause("", self._parts.phrases.nobody_there, interruptible=False)
        ending = self._ending
        self._mouth.say_ready(closing, EndMark("", lambda: self._end_session(ending, EndReason.ERROR)))

    def _end_session(self, result: CallResult, reason: EndReason) -> None:
        if self._result is not None:
            return
        self._ending = self._result = result
        # Before the telephone system goes on, and asks.
        self._parts.book.note(self._leg.call_id, result)
        self._timers.stop(*Timer)
        if result.end is CallEnd.CALLER_HUNG_UP:
            self._mouth.fall_silent()
        elif self._tasks:
            # The telephone system goes on at once; the mesh may take its time.
            self._tasks.create_task(self._leg.hang_up())
        if self._turn and self._turn.answer.outcome is None:
            self._line.send(CancelRequest(self._turn.id, CancelCause.HANGUP))
        if self._line.send(SessionEnd(reason)):
            # A moment for what it wants to keep of the call.
            self._timers.start(Timer.WRAP_UP, self._now(), self._settings.wrap_up)
        else:
            self._over.set()
