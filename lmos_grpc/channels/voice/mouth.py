"""Says clauses in their order: makes speech of them ahead of the playback, and falls silent at once."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmos_grpc.channels.voice.playlist import Piece, Playlist
from lmos_grpc.channels.voice.spoken_text import spoken_text
from lmos_grpc.errors import LmosError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmos_grpc.channels.speech.engine import Synthesiser
    from lmos_grpc.channels.voice.playlist import EndMark, HeardSoFar

_LOG = logging.getLogger(__name__)
_QUEUE = 256
# Speech of what the caller may never hear is work for nothing, and makes other callers wait for their first word.
_AHEAD_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Clause:
    """Something to say; `locale` empty means the caller's."""

    turn_id: str
    text: str
    interruptible: bool = True
    locale: str = ""


class Mouth:
    """The voice of one call. `ready` has the edge's own phrases as speech, by their text."""

    def __init__(
        self,
        synthesiser: Synthesiser,
        ready: Mapping[str, bytes],
        locale: str,
        *,
        on_piece: Callable[[Piece], None],
        on_failure: Callable[[], None],
    ) -> None:
        self.playlist = Playlist(on_piece)
        self._synthesiser = synthesiser
        self._ready = ready
        self._locale = locale
        self._on_failure = on_failure
        self._queue: asyncio.Queue[tuple[int, Clause | EndMark]] = asyncio.Queue(_QUEUE)
        self._breath = 0
        self._hungry = asyncio.Event()
        self._hungry.set()

    async def say(self, clause: Clause) -> None:
        """Says it after what was given before; waits while very much is waiting to be said."""
        await self._queue.put((self._breath, clause))

    def say_ready(self, clause: Clause, mark: EndMark | None = None) -> None:
        """Says one of the phrases that are speech already, before all that is not."""
        self.playlist.add(Piece(clause.turn_id, clause.text, self._ready[clause.text], clause.interruptible))
        if mark:
            self.playlist.add(mark)

    async def mark(self, mark: EndMark) -> None:
        """Tells when all that was given before was played."""
        await self._queue.put((self._breath, mark))

    def fall_silent(self) -> HeardSoFar:
        """Stops, and forgets what was to be said; tells what was heard."""
        self._breath += 1
        while not self._queue.empty():
            self._queue.get_nowait()
        self._hungry.set()
        return self.playlist.clear()

    def next_frame(self) -> bytes | None:
        """The next 20 ms to play; None for silence."""
        frame = self.playlist.next_frame()
        if self.playlist.seconds_left < _AHEAD_SECONDS:
            self._hungry.set()
        else:
            self._hungry.clear()
        return frame

    async def run(self) -> None:
        """Makes speech of the clauses, one after the other."""
        while True:
            breath, item = await self._queue.get()
            await self._hungry.wait()
            made = await self._piece(item) if isinstance(item, Clause) and breath == self._breath else item
            # Meanwhile the caller may have interrupted.
            if breath == self._breath and made is not None and not isinstance(made, Clause):
                self.playlist.add(made)

    async def _piece(self, clause: Clause) -> Piece | None:
        locale = clause.locale or self._locale
        pcm = self._ready.get(clause.text)
        try:
            if pcm is None:
                pcm = await self._synthesiser.synthesise(spoken_text(clause.text, locale), locale=locale)
        except LmosError as error:
            _LOG.error("a synthesiser failed: %s", error)
            self._on_failure()
            return None
        return Piece(clause.turn_id, clause.text, pcm, clause.interruptible) if pcm else None
