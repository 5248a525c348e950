"""The functions of an agent that stay with live sessions, each with one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from lmos_grpc.errors import ungrouped
from lmos_grpc.sdk.stay import Stay

if TYPE_CHECKING:
    from types import TracebackType

    from lmos_grpc.domain.event import Outcome
    from lmos_grpc.domain.live_session import CallerInput
    from lmos_grpc.sdk.answering import Answering
    from lmos_grpc.sdk.offer import Offer
    from lmos_grpc.sdk.turn_scope import TurnScope


class Listeners:
    """An `Audience` for the functions of an agent, which run while the block does."""

    def __init__(self) -> None:
        self._stays: dict[str, Stay] = {}
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        """Lets functions stay."""
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Lets those go that are left."""
        for line in list(self._stays):
            self.leave(line)
        with ungrouped():
            await self._tasks.__aexit__(None, None, None)

    def hear(self, line: str, given: CallerInput, *, only: str = "") -> bool:  # noqa: ARG002 # there is one agent here
        """As `Audience.hear`."""
        stay = self._stays.get(line)
        if stay is None or stay.over:
            return False
        stay.hear(given)
        return True

    def leave(self, line: str) -> None:
        """As `Audience.leave`."""
        if stay := self._stays.pop(line, None):
            self._tasks.create_task(stay.leave())

    async def answer(self, line: str, offer: Offer, scope: TurnScope, answering: Answering) -> Outcome:
        """Answers a turn by the function that stays on the line, or by one that begins to.

        Raises:
            Exception: whatever the function raised.
        """
        while True:
            outcome = await self._stay(line, offer, scope).answer(scope, answering, self._tasks)
            if outcome is not None:
                return outcome

    def _stay(self, line: str, offer: Offer, scope: TurnScope) -> Stay:
        stay = self._stays.get(line)
        if stay is not None and not stay.over and stay.offer is offer:
            return stay
        self.leave(line)
        stay = self._stays[line] = Stay(offer, scope)
        return stay
