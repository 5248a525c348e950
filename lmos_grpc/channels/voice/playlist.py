"""What is to be played to the caller, frame by frame, and what of it was heard."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.channels.speech.pcm import FRAME_BYTES, frames_of, seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Piece:
    """A clause as audio."""

    turn_id: str
    text: str
    pcm: bytes
    interruptible: bool = True


@dataclass(frozen=True, slots=True)
class EndMark:
    """Stands after the last piece of a turn; reached, it was played in full."""

    turn_id: str
    reached: Callable[[], None]


@dataclass(frozen=True, slots=True)
class HeardSoFar:
    """What of a turn reached the caller's ear."""

    turn_id: str = ""
    text: str = ""
    played: timedelta = timedelta(0)


@dataclass(slots=True)
class Playlist:
    """Plays one piece after the other; `started` is told of each as its first frame goes out."""

    started: Callable[[Piece], None]
    paused: bool = False
    _items: deque[Piece | EndMark] = field(default_factory=deque)
    _at: int = 0
    _turn_id: str = ""
    _texts: list[str] = field(default_factory=list)
    _played_bytes: int = 0

    def add(self, item: Piece | EndMark) -> None:
        """Puts a piece or a mark at the end."""
        if isinstance(item, Piece):
            item = Piece(item.turn_id, item.text, frames_of(item.pcm), item.interruptible)
        self._items.append(item)

    @property
    def idle(self) -> bool:
        """Whether nothing is left to play."""
        return not self._items

    @property
    def interruptible(self) -> bool:
        """Whether what plays now may be interrupted."""
        return all(each.interruptible for each in self._items if isinstance(each, Piece))

    @property
    def seconds_left(self) -> float:
        """How much is left to play."""
        return seconds_of(sum(len(each.pcm) for each in self._items if isinstance(each, Piece)) - self._at)

    def next_frame(self) -> bytes | None:
        """The next 20 ms; None where there is nothing to play, or playing pauses."""
        if self.paused:
            return None
        self._pass_marks()
        if not self._items:
            return None
        piece = self._items[0]
        if isinstance(piece, EndMark):  # a mark that was put there by another one's call
            return None
        frame = self._play(piece)
        self._pass_marks()
        return frame

    def _play(self, piece: Piece) -> bytes | None:
        if piece.turn_id != self._turn_id:
            self._turn_id, self._texts, self._played_bytes = piece.turn_id, [], 0
        if not self._at:
            self.started(piece)
        frame = piece.pcm[self._at : self._at + FRAME_BYTES]
        self._at += len(frame)
        self._played_bytes += len(frame)
        if self._at >= len(piece.pcm):
            self._items.popleft()
            self._at = 0
            self._texts.append(piece.text)
        return frame or None

    def _pass_marks(self) -> None:
        while self._items and isinstance(mark := self._items[0], EndMark):
            self._items.popleft()
            mark.reached()

    def heard(self) -> HeardSoFar:
        """What was heard of the turn that plays, or played last. Of a piece that was cut, words by their share."""
        texts = list(self._texts)
        if self._at and self._items and isinstance(piece := self._items[0], Piece):
            words = piece.text.split()
            texts.append(" ".join(words[: int(len(words) * self._at / len(piece.pcm))]))
        text = " ".join(each for each in texts if each)
        return HeardSoFar(self._turn_id, text, timedelta(seconds=seconds_of(self._played_bytes)))

    def clear(self) -> HeardSoFar:
        """Stops at once and drops what is left; tells what was heard."""
        heard = self.heard()
        self._items.clear()
        self._at, self.paused = 0, False
        return heard
