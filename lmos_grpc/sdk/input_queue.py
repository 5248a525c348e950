"""What a caller did and an agent has not taken yet."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from lmos_grpc.domain.live_session import UserText

if TYPE_CHECKING:
    from lmos_grpc.domain.live_session import CallerInput

_MOST_WAITING = 64
_Asked = TypeVar("_Asked")


class InputQueue(Generic[_Asked]):
    """Inputs in their order, and between them the turns that some of them began. Nobody who puts something in waits.

    A caller speaks faster than an agent may listen: of text that is not final only the newest waits, and where too much
    waits, the oldest input that asks for nothing is forgotten.
    """

    def __init__(self) -> None:
        self._waiting: deque[CallerInput | _Asked] = deque()
        self._asked: _Asked | None = None
        self._came = asyncio.Event()
        self._closed = False

    def put(self, given: CallerInput) -> None:
        """Takes an input that asks for nothing."""
        if self._waiting and _is_partial(given) and _is_partial(self._waiting[-1]):
            self._waiting[-1] = given
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._forget_oldest()
        self._waiting.append(given)
        self._came.set()

    def ask(self, asked: _Asked) -> None:
        """Takes the turn that an input began; there is one at a time."""
        self._asked = asked
        self._waiting.append(asked)
        self._came.set()

    def withdraw(self) -> None:
        """Forgets the turn, where nobody has taken it."""
        if self._asked is not None and self._asked in self._waiting:
            self._waiting.remove(self._asked)
        self._asked = None

    def close(self) -> None:
        """Nothing more comes."""
        self._closed = True
        self._came.set()

    async def get(self) -> CallerInput | _Asked | None:
        """The next one; None where nothing more comes."""
        while not self._waiting:
            if self._closed:
                return None
            self._came.clear()
            await self._came.wait()
        return self._waiting.popleft()

    def _forget_oldest(self) -> None:
        del self._waiting[1 if self._waiting[0] is self._asked else 0]


def _is_partial(given: object) -> bool:
    return isinstance(given, UserText) and not given.is_final
