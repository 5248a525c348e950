"""What the edge says to a caller by itself, and how often it asks again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos_grpc.channels.voice.call_leg import CallEnd, CallResult
from lmos_grpc.channels.voice.call_timers import Timer
from lmos_grpc.channels.voice.mouth import Clause
from lmos_grpc.channels.voice.playlist import EndMark
from lmos_grpc.domain.live_session import Signal, SignalKind

if TYPE_CHECKING:
    from lmos_grpc.channels.voice.call_ending import CallEnding
    from lmos_grpc.channels.voice.call_scene import CallScene


class CallPrompts:
    """After each of them the caller has a while to say something."""

    def __init__(self, scene: CallScene, ending: CallEnding) -> None:
        self._scene = scene
        self._ending = ending
        self._phrases = scene.parts.phrases
        self._counts: dict[SignalKind, int] = {}

    def greet(self) -> None:
        """The first words of the call."""
        scene = self._scene
        scene.timers.start(Timer.CALL, scene.now(), scene.settings.longest_call)
        self._say_and_wait(scene.settings.greeting or self._phrases.greeting)

    def apologise(self) -> None:
        """A turn came to nothing."""
        self._say_and_wait(self._phrases.apology)

    def fill(self) -> None:
        """The answer takes its time."""
        if self._scene.mouth.playlist.idle:
            self._scene.mouth.say_ready(Clause("", self._phrases.filler))

    def hold_the_line(self) -> None:
        """The mesh is away, and the caller waits for it."""
        scene = self._scene
        if scene.turn and scene.mouth.playlist.idle:
            scene.timers.stop(Timer.FILLER)
            scene.mouth.say_ready(Clause("", self._phrases.reconnecting))

    def await_input(self) -> None:
        """It is the caller's turn to say something."""
        scene = self._scene
        if not scene.ending:
            after = scene.spec.no_input_timeout or scene.settings.no_input_after
            scene.timers.start(Timer.NO_INPUT, scene.now(), after)

    def understood(self) -> None:
        """The caller said something, and it was understood."""
        self._counts.clear()

    async def ask_again(self, kind: SignalKind) -> None:
        """Nothing was said, or it was not understood: asks again, and ends the call when it was asked often enough."""
        scene = self._scene
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        scene.line.send(Signal(kind, count))
        scene.observer.asked_again(scene.call_id, kind)
        if count > scene.settings.max_reprompts:
            closing, result = self._last_words(kind)
            await self._ending.after_last_words(result, saying=closing)
            return
        texts = self._phrases.no_input if kind is SignalKind.NO_INPUT else self._phrases.no_match
        self._say_and_wait(texts[min(count, len(texts)) - 1])

    def _last_words(self, kind: SignalKind) -> tuple[str, CallResult]:
        target = self._scene.settings.fallback_target
        if kind is SignalKind.NO_INPUT or not target:
            return self._phrases.nothing_heard, CallResult(CallEnd.HUNG_UP)
        return self._phrases.nobody_there, CallResult(CallEnd.TRANSFERRED, target)

    def _say_and_wait(self, text: str) -> None:
        self._scene.mouth.say_ready(Clause("", text), EndMark("", self.await_input))
