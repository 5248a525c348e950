"""Takes no more turns at once than a limit says, so that those that run keep their pace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.errors import QuotaExceededError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.agent_service.turn_runner import Emit, TurnRunner, TurnWork
    from lmos_grpc.domain.card import AgentCard
    from lmos_grpc.domain.turn import TurnRequest

_RETRY_AFTER = timedelta(seconds=1)


class LimitedRunner:
    """A `TurnRunner` that refuses what another one would have to run beside `most` turns."""

    def __init__(self, runner: TurnRunner, most: int) -> None:
        self._runner = runner
        self._most = most
        self._running = 0

    def card(self) -> AgentCard:
        """Who answers here."""
        return self._runner.card()

    async def admit(self, turn: TurnRequest, time_left: timedelta) -> TurnWork:
        """Admits a turn if there is room for it.

        Raises:
            QuotaExceededError: so many turns run already.
            LmosError: the turn is refused for another reason.
        """
        if self._running >= self._most:
            raise QuotaExceededError(
                f"{self._most:,} turns run here already, and no more are taken on: try again in a second",
                retry_after=_RETRY_AFTER,
                limit=str(self._most),
            )
        self._running += 1
        try:
            work = await self._runner.admit(turn, time_left)
        except BaseException:
            self._leave()
            raise
        return _CountedTurn(work, self._leave)

    def _leave(self) -> None:
        self._running -= 1


@dataclass(frozen=True, slots=True)
class _CountedTurn:
    work: TurnWork
    leave: Callable[[], None]

    async def __call__(self, emit: Emit, /) -> None:
        try:
            await self.work(emit)
        finally:
            self.leave()
