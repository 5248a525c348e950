"""What a caller said, in words: each utterance is recognised once, however long it waits for an engine."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmos_grpc.errors import LmosError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from lmos_grpc.channels.speech.engine import Heard
    from lmos_grpc.channels.voice.call_ending import CallEnding
    from lmos_grpc.channels.voice.call_scene import CallScene
    from lmos_grpc.channels.voice.ear import Ear

_LOG = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Utterance:
    """Speech that ended in that moment, as far as is known. `sure`: it was speech, and no cough."""

    ended_at: float
    sure: bool
    heard: Heard | None = None
    over: bool = False
    recognising: asyncio.Task[None] | None = None


class Utterances:
    """`take` is given each utterance once it is over and recognised.

    An utterance is given to the recogniser at the first pause that may be its end. Where the caller goes on, that was
    work for nothing, and is dropped if it still waits. At most one utterance waits, and one is being spoken: a
    recogniser that is slow has no more to do for it, or it would be slower still.
    """

    def __init__(
        self, scene: CallScene, ending: CallEnding, take: Callable[[Utterance, Heard], Awaitable[None]]
    ) -> None:
        self._scene = scene
        self._ending = ending
        self._take = take
        self._spoken: Utterance | None = None
        self._waiting: Utterance | None = None

    def pause(self, ear: Ear, *, sure: bool) -> None:
        """The caller is silent, and may be done."""
        self._drop(self._spoken)
        self._spoken = self._recognised(ear, sure=sure)

    def go_on(self) -> None:
        """The caller was not done, or begins anew."""
        self._drop(self._spoken)
        self._spoken = None

    async def end(self, ear: Ear, *, sure: bool) -> None:
        """The caller is done, whatever was said."""
        await self._finish(self._spoken or self._recognised(ear, sure=sure))

    async def end_if_whole(self, ear: Ear) -> bool:
        """The caller is done if what was said is a whole phrase; whether it is."""
        spoken = self._spoken
        if spoken is None or spoken.heard is None or not spoken.heard.complete:
            return False
        if ear.silent_milliseconds < ear.settings.complete_silence:
            return False
        ear.forget()
        await self._finish(spoken)
        return True

    async def _finish(self, utterance: Utterance) -> None:
        self._drop(self._waiting)
        self._spoken, self._waiting = None, utterance
        utterance.over = True
        if utterance.heard is not None:
            await self._take(utterance, utterance.heard)

    def _recognised(self, ear: Ear, *, sure: bool) -> Utterance:
        utterance = Utterance(self._scene.now() - ear.silent_milliseconds / 1_000, sure)
        utterance.recognising = self._scene.tasks.create_task(self._recognise(utterance, ear.utterance))
        return utterance

    async def _recognise(self, utterance: Utterance, pcm: bytes) -> None:
        scene = self._scene
        try:
            heard = await scene.parts.recogniser.recognise(pcm, locale=scene.settings.locale, hints=scene.spec.hints)
        except LmosError as error:
            _LOG.error("call %s: a recogniser failed: %s", scene.call_id, error)
            scene.observer.engine_failed(scene.call_id, "recogniser")
            self._ending.give_up()
            return
        utterance.heard = heard
        if utterance.over:
            await self._take(utterance, heard)

    def _drop(self, utterance: Utterance | None) -> None:
        if utterance and utterance.recognising and utterance.heard is None:
            utterance.recognising.cancel()
