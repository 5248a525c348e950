"""What a caller does: speech becomes an utterance and words, keys are collected, and both may interrupt."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.channels.voice.call_timers import Timer
from lmos_grpc.channels.voice.ear import Ear, EarEvent
from lmos_grpc.channels.voice.keypad import Keypad
from lmos_grpc.channels.voice.utterances import Utterances
from lmos_grpc.domain.live_session import InputMode, Signal, SignalKind, UserText

if TYPE_CHECKING:
    from lmos_grpc.channels.speech.engine import Heard
    from lmos_grpc.channels.voice.call_ending import CallEnding
    from lmos_grpc.channels.voice.call_prompts import CallPrompts
    from lmos_grpc.channels.voice.call_scene import CallScene
    from lmos_grpc.channels.voice.call_turns import CallTurns
    from lmos_grpc.channels.voice.utterances import Utterance
    from lmos_grpc.domain.live_session import InputSpec


class CallHearing:
    """Takes frames and keys in as they come. `turns` is set before the first of them."""

    turns: CallTurns

    def __init__(self, scene: CallScene, prompts: CallPrompts, ending: CallEnding) -> None:
        self._scene = scene
        self._prompts = prompts
        self._ear = Ear(scene.parts.detector(), scene.settings.ear)
        self._keypad = Keypad()
        self._utterances = Utterances(scene, ending, self._take_heard)
        self._confirmed = False
        self._paused_after = timedelta(0)

    @property
    def busy(self) -> bool:
        """Whether the caller is speaking or typing."""
        return self._ear.speaking or self._keypad.collecting

    def expect(self, spec: InputSpec) -> None:
        """What the caller is to do next, and how long that may take."""
        self._keypad.expect(spec.dtmf, sensitive=spec.sensitive)
        own = self._scene.settings.ear
        self._ear.settings = replace(
            own,
            complete_silence=_milliseconds(spec.complete_silence) or own.complete_silence,
            incomplete_silence=_milliseconds(spec.incomplete_silence) or own.incomplete_silence,
            max_speech=_milliseconds(spec.max_speech) or own.max_speech,
        )

    async def take_frame(self, frame: bytes) -> None:
        """20 ms of the caller's side of the line."""
        scene = self._scene
        if scene.ending or scene.spec.mode in (InputMode.DTMF, InputMode.NONE):
            return
        paused = self._ear.silent_milliseconds > 0
        match self._ear.hear(frame):
            case EarEvent.STARTED:
                self._speech_started()
            case EarEvent.CONFIRMED:
                self._confirmed = True
                if scene.mouth.playlist.paused:
                    scene.observer.interrupted(scene.call_id, self._paused_after)
                    self.turns.interrupt()
            case EarEvent.PAUSED:
                self._utterances.pause(self._ear, sure=self._confirmed)
            case EarEvent.ENDED:
                await self._utterances.end(self._ear, sure=self._confirmed)
                # What comes next is another utterance, whatever becomes of this one.
                self._ear.forget()
        if paused and self._ear.speaking and not self._ear.silent_milliseconds:
            self._utterances.go_on()
        await self._utterances.end_if_whole(self._ear)

    async def take_key(self, key: str) -> None:
        """A key that was pressed."""
        scene = self._scene
        if scene.ending or scene.spec.mode is InputMode.NONE:
            return
        scene.timers.stop(Timer.NO_INPUT)
        if not self._keypad.collecting:
            scene.line.send(Signal(SignalKind.DTMF_STARTED))
        if not scene.mouth.playlist.idle and scene.mouth.playlist.interruptible:
            self.turns.interrupt()
        pressed = self._keypad.press(key, scene.now())
        if pressed:
            await self.turns.begin(replace(pressed, turn_id=scene.new_id()), scene.now())

    async def take_overdue_keys(self, now: float) -> None:
        """Asks with the keys after which no other came in time."""
        if pressed := self._keypad.overdue(now):
            await self.turns.begin(replace(pressed, turn_id=self._scene.new_id()), now)

    def _speech_started(self) -> None:
        scene = self._scene
        self._utterances.go_on()
        self._confirmed = False
        scene.timers.stop(Timer.NO_INPUT)
        if not scene.mouth.playlist.idle:
            if not scene.mouth.playlist.interruptible:
                self._ear.forget()
                return
            # Silent at once, and for good once it is sure that this is speech.
            scene.mouth.playlist.paused = True
            self._paused_after = timedelta(milliseconds=self._ear.onset_milliseconds)
        scene.line.send(Signal(SignalKind.SPEECH_STARTED))

    async def _take_heard(self, utterance: Utterance, heard: Heard) -> None:
        scene = self._scene
        if scene.ending:
            return
        scene.line.send(Signal(SignalKind.SPEECH_ENDED))
        if heard.text:
            await self._ask(heard, utterance.ended_at)
        elif scene.mouth.playlist.paused:
            # A cough, or somebody in the background: nothing happened.
            scene.mouth.playlist.paused = False
        elif scene.turn is None and utterance.sure:
            await self._prompts.ask_again(SignalKind.NO_MATCH)
        elif scene.turn is None:
            self._prompts.await_input()

    async def _ask(self, heard: Heard, ended_at: float) -> None:
        scene = self._scene
        said = UserText(
            heard.text,
            turn_id=scene.new_id(),
            confidence=heard.confidence,
            locale=scene.settings.locale,
            sensitive=scene.spec.sensitive,
        )
        await self.turns.begin(said, ended_at)


def _milliseconds(span: timedelta | None) -> int:
    return int(span / timedelta(milliseconds=1)) if span else 0
