"""The turns of a call: one is asked, its answer is said, and the caller may interrupt it."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.channels.voice.call_leg import CallEnd, CallResult
from lmos_grpc.channels.voice.call_scene import CallTurn
from lmos_grpc.channels.voice.call_timers import Timer
from lmos_grpc.channels.voice.mesh_line import Opened
from lmos_grpc.channels.voice.playlist import EndMark
from lmos_grpc.domain.event import Outcome, TurnDone
from lmos_grpc.domain.live_session import (
    CancelCause,
    CancelRequest,
    InputSpec,
    PlaybackReport,
    PlaybackState,
    Recording,
    SessionEnded,
    Transfer,
    UserText,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.channels.voice.call_ending import CallEnding
    from lmos_grpc.channels.voice.call_prompts import CallPrompts
    from lmos_grpc.channels.voice.call_scene import CallScene
    from lmos_grpc.channels.voice.playlist import Piece
    from lmos_grpc.domain.event import AgentEvent
    from lmos_grpc.domain.live_session import KeysPressed

_LOG = logging.getLogger(__name__)


class CallTurns:
    """`expect` is told of the input that an agent wants."""

    def __init__(
        self, scene: CallScene, prompts: CallPrompts, ending: CallEnding, expect: Callable[[InputSpec], None]
    ) -> None:
        self._scene = scene
        self._prompts = prompts
        self._ending = ending
        self._expect = expect
        self._pause_asked = self._recording_paused = False

    async def begin(self, asked: UserText | KeysPressed, speech_ended: float, *, asked_anew: bool = False) -> None:
        """Asks the mesh; what was said to the caller before is over."""
        scene = self._scene
        if scene.turn or not scene.mouth.playlist.idle:
            self.interrupt(CancelCause.NEW_INPUT)
        self._prompts.understood()
        scene.turn = CallTurn(asked, speech_ended, asked_anew)
        now = scene.now()
        scene.timers.stop(Timer.NO_INPUT)
        scene.timers.start(Timer.FILLER, now, scene.settings.filler_after)
        scene.timers.start(Timer.TURN, now, scene.settings.turn_limit)
        scene.line.send(asked)
        if not asked.sensitive:
            scene.observer.asked(scene.call_id, asked.text if isinstance(asked, UserText) else asked.digits)

    def interrupt(self, cause: CancelCause = CancelCause.BARGE_IN) -> None:
        """Falls silent, stops what runs, and tells the mesh what was heard of it."""
        scene = self._scene
        heard = scene.mouth.fall_silent()
        turn, scene.turn = scene.turn, None
        scene.timers.stop(Timer.FILLER, Timer.TURN)
        turn_id = turn.id if turn else heard.turn_id
        if turn and turn.answer.outcome is None:
            text = heard.text if heard.turn_id == turn_id else ""
            scene.line.send(CancelRequest(turn_id, cause, heard.played, text))
        if turn_id and heard.turn_id == turn_id:
            report = PlaybackReport(PlaybackState.INTERRUPTED, turn_id, played=heard.played, heard_text=heard.text)
            scene.line.send(report)

    def give_up(self) -> None:
        """The mesh has not answered in time."""
        self.interrupt(CancelCause.USER)
        self._prompts.apologise()

    def session_open(self, opened: Opened) -> None:
        """The mesh listens, for the first time or again."""
        scene = self._scene
        if opened is Opened.RESUMED or scene.turn is None:
            return
        if not scene.turn.answer.spoken:
            # The same id: if the mesh has had it before, it is the same turn.
            scene.line.send(scene.turn.asked)
        elif opened is Opened.ANEW:
            self._forget()
            self._prompts.apologise()

    async def take(self, event: AgentEvent) -> None:
        """Takes in what the mesh says."""
        scene, turn = self._scene, self._scene.turn
        # Whatever comes of a turn that was interrupted comes too late.
        if scene.ending or turn is None or event.turn_id != turn.id:
            return
        for clause in turn.answer.take(event):
            scene.timers.stop(Timer.FILLER)
            scene.timers.start(Timer.TURN, scene.now(), scene.settings.turn_limit)
            await scene.mouth.say(clause)
        match event.body:
            case InputSpec():
                scene.spec = event.body
                self._expect(event.body)
                self._tell_recording()
            case Recording(paused):
                self._pause_asked = paused
                self._tell_recording()
            case Transfer(target, _, after_playback, summary):
                result = CallResult(CallEnd.TRANSFERRED, target, summary)
                await self._ending.after_last_words(result, after_playback=after_playback)
            case SessionEnded(_, after_playback, summary):
                result = CallResult(CallEnd.HUNG_UP, summary=summary)
                await self._ending.after_last_words(result, after_playback=after_playback)
            case TurnDone():
                await self._done(turn)

    def sounds(self, piece: Piece) -> None:
        """The caller begins to hear a piece of speech."""
        scene, turn = self._scene, self._scene.turn
        scene.observer.spoke(scene.call_id, piece.text)
        if turn and not turn.sounded and piece.turn_id == turn.id:
            turn.sounded = True
            scene.observer.responded(scene.call_id, timedelta(seconds=scene.now() - turn.speech_ended))

    async def _done(self, turn: CallTurn) -> None:
        self._scene.timers.stop(Timer.FILLER, Timer.TURN)
        silent = not turn.answer.spoken
        if silent and turn.answer.outcome is Outcome.CANCELLED and not turn.asked_anew:
            # It was cut off with the session that broke, and not by the caller, who still waits.
            self._scene.turn = None
            asked = replace(turn.asked, turn_id=self._scene.new_id())
            await self.begin(asked, turn.speech_ended, asked_anew=True)
        elif silent and turn.answer.outcome in (Outcome.FAILED, Outcome.CANCELLED):
            self._forget()
            self._prompts.apologise()
        elif self._scene.ending is None:
            await self._scene.mouth.mark(EndMark(turn.id, lambda: self._played(turn)))

    def _played(self, turn: CallTurn) -> None:
        scene = self._scene
        played = scene.mouth.playlist.heard().played
        scene.line.send(PlaybackReport(PlaybackState.COMPLETED, turn.id, played=played))
        if scene.turn is turn:
            scene.turn = None
        self._prompts.await_input()

    def _forget(self) -> None:
        self._scene.turn = None
        self._scene.timers.stop(Timer.FILLER, Timer.TURN)

    def _tell_recording(self) -> None:
        paused = self._pause_asked or self._scene.spec.sensitive
        if paused != self._recording_paused:
            self._recording_paused = paused
            _LOG.info("call %s: a recording of it is to %s", self._scene.call_id, "pause" if paused else "go on")
            self._scene.observer.recording(self._scene.call_id, paused=paused)
