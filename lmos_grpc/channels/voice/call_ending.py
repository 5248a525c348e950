"""How a call ends: what was said is played to its end, the telephone system goes on, the mesh is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos_grpc.channels.voice.call_leg import CallEnd, CallResult
from lmos_grpc.channels.voice.call_timers import Timer
from lmos_grpc.channels.voice.mouth import Clause
from lmos_grpc.channels.voice.playlist import EndMark
from lmos_grpc.domain.live_session import CancelCause, CancelRequest, EndReason, SessionEnd

if TYPE_CHECKING:
    from lmos_grpc.channels.voice.call_scene import CallScene


class CallEnding:
    """Ends a call once, whoever asks for it first. `result` is None until it is over for the telephone system."""

    def __init__(self, scene: CallScene) -> None:
        self._scene = scene
        self.result: CallResult | None = None

    async def after_last_words(self, result: CallResult, *, after_playback: bool = True, saying: str = "") -> None:
        """Ends it with what is still to be said, or at once where it is not `after_playback`."""
        scene = self._scene
        if scene.ending or scene.over.is_set():
            return
        if not after_playback:
            scene.mouth.fall_silent()
        if saying:
            scene.mouth.say_ready(Clause("", saying, interruptible=False))
        await self.after_playback(result)

    async def after_playback(self, result: CallResult) -> None:
        """From here on nothing interrupts: what was said is played to its end, and then the call ends."""
        scene = self._scene
        if scene.ending:
            return
        scene.ending = result
        scene.mouth.playlist.paused = False
        scene.timers.stop(Timer.NO_INPUT, Timer.FILLER, Timer.TURN, Timer.AWAY)
        reason = EndReason.TRANSFERRED if result.end is CallEnd.TRANSFERRED else EndReason.DONE
        turn_id = scene.turn.id if scene.turn else ""
        await scene.mouth.mark(EndMark(turn_id, lambda: self.now(result, reason)))

    def give_up(self) -> None:
        """The mesh or a speech engine is gone: what is said now is speech already, and then the call goes elsewhere."""
        scene = self._scene
        if scene.ending or scene.over.is_set():
            return
        scene.mouth.fall_silent()
        target = scene.settings.fallback_target
        ending = scene.ending = CallResult(CallEnd.TRANSFERRED if target else CallEnd.GAVE_UP, target)
        closing = Clause("", scene.parts.phrases.nobody_there, interruptible=False)
        scene.mouth.say_ready(closing, EndMark("", lambda: self.now(ending, EndReason.ERROR)))

    def now(self, result: CallResult, reason: EndReason) -> None:
        """The call is over, on this side or on the other."""
        if self.result is not None:
            return
        scene = self._scene
        scene.ending = self.result = result
        # Before the telephone system goes on, and asks.
        scene.parts.book.note(scene.call_id, result)
        scene.timers.stop(*Timer)
        if result.end is CallEnd.CALLER_HUNG_UP:
            scene.mouth.fall_silent()
        else:
            # The telephone system goes on at once; the mesh may take its time.
            scene.tasks.create_task(scene.leg.hang_up())
        self._leave_mesh(reason)

    def _leave_mesh(self, reason: EndReason) -> None:
        scene = self._scene
        if scene.turn and scene.turn.answer.outcome is None:
            scene.line.send(CancelRequest(scene.turn.id, CancelCause.HANGUP))
        if scene.line.send(SessionEnd(reason)):
            # A moment for what it wants to keep of the call.
            scene.timers.start(Timer.WRAP_UP, scene.now(), scene.settings.wrap_up)
        else:
            scene.over.set()
