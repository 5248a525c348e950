"""What runs a turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from datetime import timedelta

    from lmos_grpc.domain.card import AgentCard
    from lmos_grpc.domain.event import EventBody, Source
    from lmos_grpc.domain.turn import TurnRequest


class Emit(Protocol):
    """Sends one event of the turn on to the caller; returns when the caller's flow control took it."""

    def __call__(self, body: EventBody, source: Source = ..., /) -> Awaitable[None]:
        """Sends what happened; without a source it comes from the answering service itself."""


class TurnWork(Protocol):
    """A turn that was admitted and is to be worked on."""

    async def __call__(self, emit: Emit, /) -> None:
        """Works on the turn until it is done; cancelled when the caller cancels or the time is up.

        `Accepted` was sent before, and `TurnDone(COMPLETED)` is sent after it unless the work sent one itself.

        Raises:
            LmosError: the turn failed; it is told in band, and the turn ends as FAILED.
        """


class TurnRunner(Protocol):
    """Runs turns: the code of an agent, or the orchestrator."""

    def card(self) -> AgentCard:
        """Who answers here, and what it can do."""

    async def admit(self, turn: TurnRequest, time_left: timedelta) -> TurnWork:
        """Checks and prepares a turn, before any event of it is sent.

        Raises:
            LmosError: the turn is refused; the caller gets a gRPC status.
        """
