"""The inputs of a live session with their numbers: those that the mesh has not seen are sent again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lmos_grpc.clients.converse_client import START_NUMBER

if TYPE_CHECKING:
    from lmos_grpc.domain.live_session import SessionInput

# A caller does a few things a second, and a session is kept for half a minute.
_KEPT = 256


@dataclass(slots=True)
class Outbox:
    """Numbers ascend over all streams of a session; the first one is that of `start`, which is not kept."""

    _last: int = START_NUMBER
    _kept: deque[tuple[int, SessionInput]] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def add(self, given: SessionInput) -> int:
        """Keeps an input; gives its number."""
        self._last += 1
        self._kept.append((self._last, given))
        return self._last

    def after(self, number: int) -> list[tuple[int, SessionInput]]:
        """The inputs that come after one that was taken; those up to it are forgotten."""
        while self._kept and self._kept[0][0] <= number:
            self._kept.popleft()
        return list(self._kept)

    def clear(self) -> None:
        """Forgets the inputs. Their numbers are not given again."""
        self._kept.clear()
