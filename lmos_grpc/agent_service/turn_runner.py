"""What runs a turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta

    from lmos_grpc.domain.card import AgentCard
    from lmos_grpc.domain.event import EventBody, Source
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.rpc import Inflow
    from lmos_grpc.wire.framed_event import SaidEvent


class Emit(Protocol):
    """Sends the events of a turn on to the caller; without a source they come from the answering service itself.

    Who makes events calls it, and waits with it while the caller is slow. Who passes on what comes anyway uses the
    other methods, none of which waits, and holds what comes when it is full.
    """

    def __call__(self, body: EventBody, source: Source = ..., /) -> Awaitable[None]:
        """Sends what happened, once there is room for it."""

    @property
    def full(self) -> bool:
        """Whether the caller is slow."""

    def put(self, body: EventBody, source: Source = ..., /) -> None:
        """Sends what happened."""

    def relay(self, event: SaidEvent, source: Source, /) -> None:
        """Sends what an agent said, as coming from a source. Not for the end of a turn."""

    def hold(self, inflow: Inflow) -> None:
        """Pauses what comes until there is room."""

    async def room(self) -> None:
        """Returns once the caller is not slow."""

    def observe(self, observer: Callable[[EventBody, Source], None]) -> None:
        """Tells of every event that says more than a piece of text, and of the first such piece of each source."""


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
