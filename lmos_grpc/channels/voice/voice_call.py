"""One call, from the greeting to its end: what is heard goes to the mesh, what the mesh says is played."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.channels.speech.pcm import FRAME_MILLISECONDS, SILENCE
from lmos_grpc.channels.voice.call_ending import CallEnding
from lmos_grpc.channels.voice.call_hearing import CallHearing
from lmos_grpc.channels.voice.call_leg import CallEnd, CallResult, Key
from lmos_grpc.channels.voice.call_prompts import CallPrompts
from lmos_grpc.channels.voice.call_scene import CallScene, random_id
from lmos_grpc.channels.voice.call_timers import Timer
from lmos_grpc.channels.voice.call_turns import CallTurns
from lmos_grpc.channels.voice.mesh_line import MeshLine, Opened
from lmos_grpc.channels.voice.mouth import Mouth
from lmos_grpc.domain.live_session import CallInfo, EndReason, Ping, SessionStart, SignalKind
from lmos_grpc.domain.turn import CallContext
from lmos_grpc.errors import UnreachableError
from lmos_grpc.telemetry import attributes as names

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.channels.voice.call_leg import CallLeg
    from lmos_grpc.channels.voice.call_parts import CallParts
    from lmos_grpc.channels.voice.playlist import Piece
    from lmos_grpc.domain.event import AgentEvent

_LOG = logging.getLogger(__name__)
_KEEPALIVE = timedelta(seconds=20)
_FRAME_SECONDS = FRAME_MILLISECONDS / 1_000
# A loop that was held up for longer than this does not make up for it: the caller would hear a rush.
_LATEST_SECONDS = 0.2


class VoiceCall:
    """Runs in the tasks of `run`, and so do its parts; nothing here waits but where it says so."""

    def __init__(
        self, leg: CallLeg, parts: CallParts, *, info: CallInfo | None = None, new_id: Callable[[], str] = random_id
    ) -> None:
        self._conversation_id = new_id()
        mouth = Mouth(
            parts.synthesiser,
            parts.ready,
            parts.settings.locale,
            on_piece=self._sounds,
            on_failure=self._synthesiser_failed,
        )
        line = self._line(parts, info or CallInfo(call_id=leg.call_id))
        self._scene = scene = CallScene(leg=leg, parts=parts, line=line, mouth=mouth, new_id=new_id)
        self._ending = CallEnding(scene)
        self._prompts = CallPrompts(scene, self._ending)
        self._hearing = CallHearing(scene, self._prompts, self._ending)
        self._turns = self._hearing.turns = CallTurns(scene, self._prompts, self._ending, self._hearing.expect)

    def _line(self, parts: CallParts, info: CallInfo) -> MeshLine:
        settings = parts.settings
        start = SessionStart(
            conversation_id=self._conversation_id, locale=settings.locale, agent=settings.agent, call=info
        )
        return MeshLine(
            parts.client,
            start,
            CallContext(tenant=settings.tenant, channel=settings.channel),
            on_event=self._take_event,
            on_open=self._session_open,
            on_broken=self._session_broken,
            patience=settings.patience,
        )

    async def run(self) -> CallResult:
        """Holds the call until it is over, and gives it back to the telephone system."""
        settings, tracer = self._scene.settings, self._scene.parts.tracer
        # The live session and all that comes of it belong to one trace: that of the call.
        with tracer.start_as_current_span("telephone call") as span:
            span.set_attribute(names.LMOS_CHANNEL, settings.channel)
            span.set_attribute(names.LMOS_TENANT, settings.tenant)
            span.set_attribute(names.GEN_AI_CONVERSATION_ID, self._conversation_id)
            return await self._run()

    async def _run(self) -> CallResult:
        scene, result = self._scene, CallResult(CallEnd.GAVE_UP)
        scene.observer.began(scene.call_id)
        try:
            async with scene.tasks as tasks:
                work = (self._listen(), self._play(), scene.mouth.run(), self._hold_line())
                running = [tasks.create_task(each) for each in work]
                self._prompts.greet()
                await scene.over.wait()
                for each in running:
                    each.cancel()
            result = self._ending.result or result
        finally:
            await scene.leg.hang_up()
            scene.observer.ended(scene.call_id, result)
        return result

    async def _listen(self) -> None:
        async for each in self._scene.leg.heard():
            if isinstance(each, Key):
                await self._hearing.take_key(each.key)
            else:
                await self._hearing.take_frame(each)
        self._ending.now(CallResult(CallEnd.CALLER_HUNG_UP), EndReason.HANGUP)

    async def _play(self) -> None:
        scene = self._scene
        due = scene.now()
        while True:
            scene.leg.play(scene.mouth.next_frame() or SILENCE)
            await self._tick(scene.now())
            due += _FRAME_SECONDS
            wait = due - scene.now()
            if wait < -_FRAME_SECONDS:
                scene.observer.late(scene.call_id, timedelta(seconds=-wait))
            if wait < -_LATEST_SECONDS:
                due = scene.now()
            await asyncio.sleep(max(0.0, wait))

    async def _hold_line(self) -> None:
        scene = self._scene
        try:
            await scene.line.run()
        except UnreachableError as error:
            _LOG.error("call %s: %s", scene.call_id, error)
            self._ending.give_up()
        else:
            if self._ending.result:
                scene.over.set()
            await self._ending.after_playback(CallResult(CallEnd.HUNG_UP))

    async def _take_event(self, event: AgentEvent) -> None:
        await self._turns.take(event)

    def _session_open(self, opened: Opened) -> None:
        scene = self._scene
        scene.timers.stop(Timer.AWAY)
        scene.timers.start(Timer.PING, scene.now(), _KEEPALIVE)
        if opened is not Opened.FIRST:
            scene.observer.mesh_back(scene.call_id, resumed=opened is Opened.RESUMED)
        if not scene.ending:
            self._turns.session_open(opened)

    def _session_broken(self) -> None:
        scene = self._scene
        scene.observer.mesh_lost(scene.call_id)
        if not scene.ending:
            scene.timers.start(Timer.AWAY, scene.now(), scene.settings.hold_the_line_after)

    def _synthesiser_failed(self) -> None:
        self._scene.observer.engine_failed(self._scene.call_id, "synthesiser")
        self._ending.give_up()

    def _sounds(self, piece: Piece) -> None:
        self._turns.sounds(piece)

    async def _tick(self, now: float) -> None:
        await self._hearing.take_overdue_keys(now)
        for timer in self._scene.timers.due(now):
            await self._run_out(timer, now)

    async def _run_out(self, timer: Timer, now: float) -> None:
        scene = self._scene
        match timer:
            case Timer.NO_INPUT if scene.turn is None and not self._hearing.busy:
                await self._prompts.ask_again(SignalKind.NO_INPUT)
            case Timer.FILLER:
                self._prompts.fill()
            case Timer.AWAY:
                self._prompts.hold_the_line()
            case Timer.TURN if scene.turn and not scene.mouth.playlist.idle:
                # Something is still heard; silence comes after it, if it comes.
                scene.timers.start(Timer.TURN, now, scene.settings.turn_limit)
            case Timer.TURN if scene.turn:
                self._turns.give_up()
            case Timer.PING:
                scene.line.send(Ping(int(now)))
                scene.timers.start(Timer.PING, now, _KEEPALIVE)
            case Timer.CALL:
                await self._ending.after_playback(CallResult(CallEnd.HUNG_UP))
            case Timer.WRAP_UP:
                scene.over.set()
