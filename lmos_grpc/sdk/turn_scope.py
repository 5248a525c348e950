"""What belongs to one turn while an agent works on it."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from contextlib import AsyncExitStack

    from lmos_grpc.domain.event import EventBody, Usage
    from lmos_grpc.domain.turn import Message, TurnRequest


_Item = TypeVar("_Item")


class LanguageModel(Protocol):
    """Streams what a language model answers."""

    def stream(
        self,
        messages: tuple[Message, ...],
        *,
        model: str,
        system: str,
        spent: Callable[[Usage], None],
        sensitive: bool = False,
    ) -> AsyncGenerator[str, None]:
        """Yields the answer piece by piece and tells `spent` at its end; closing it ends the call.

        What is sensitive is not recorded, whatever the settings say.

        Raises:
            LmosError: the model did not answer.
        """


class MeshCaller(Protocol):
    """Asks other agents."""

    def call(
        self, turn: TurnRequest, *, timeout: timedelta, spent: Callable[[Usage], None]
    ) -> AsyncGenerator[str | EventBody, None]:
        """Yields the answer piece by piece and tells `spent` at its end; closing it cancels the call.

        Raises:
            LmosError: the call failed, or its turn did.
        """


class TurnScope:
    """The request of a turn, its time, what it may use, and what has to be closed when it ends."""

    def __init__(
        self,
        request: TurnRequest,
        *,
        agent: str,
        capability: str,
        time_left: timedelta,
        streams: AsyncExitStack,
        model: LanguageModel | None = None,
        mesh: MeshCaller | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.request = request
        self.agent = agent
        self.capability = capability
        self.model = model
        self.mesh = mesh
        # Events of calls below, which go out before the next one that the author yields.
        self.waiting: list[EventBody] = []
        self.spent: list[Usage] = []
        self.streams = streams
        self._clock = clock
        self.deadline = clock() + time_left.total_seconds()
        self._calls = 0

    @property
    def time_left(self) -> timedelta:
        """What is left of the caller's time, never less than nothing."""
        return timedelta(seconds=max(0.0, self.deadline - self._clock()))

    def adopt(self, other: TurnScope) -> None:
        """Becomes the scope of another turn of the same capability, for the function that answers both."""
        self.request, self.deadline, self.streams = other.request, other.deadline, other.streams
        self.waiting, self.spent, self._calls = other.waiting, other.spent, 0

    def next_call(self) -> int:
        """The number of the next call of this turn, from 1."""
        self._calls += 1
        return self._calls

    def own(self, stream: AsyncGenerator[_Item, None]) -> AsyncGenerator[_Item, None]:
        """Closes the stream when the turn ends, whether or not its reader came to its end."""
        # Left to the garbage collector, a cancelled turn's model would go on until somebody collects it.
        self.streams.push_async_callback(stream.aclose)
        return stream

    def model_spent(self, usage: Usage) -> None:
        """A model was called: the caller is told, and it counts."""
        self.waiting.append(usage)
        self.spent.append(usage)
