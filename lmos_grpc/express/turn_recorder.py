"""Writes each turn that took the express lane to the conversation log: once, and after the caller was let go on."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.domain.conversation import TurnRecord
from lmos_grpc.domain.event import Outcome
from lmos_grpc.domain.turn import Message, Role
from lmos_grpc.errors import LmosError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime

    from lmos_grpc.conversation import TurnLog
    from lmos_grpc.domain.conversation import ConversationState, TurnKey
    from lmos_grpc.domain.decision import Target
    from lmos_grpc.domain.turn import TurnRequest

_LOG = logging.getLogger(__name__)
_WAITING = 1_000
# The log writes together what comes together.
_AT_ONCE = 64
_LAST_WRITES = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class _Ran:
    key: TurnKey
    turn: TurnRequest
    target: Target


class TurnRecorder:
    """Takes turns as they are decided; what is not written yet is known here."""

    def __init__(self, log: TurnLog, *, now: Callable[[], datetime], waiting: int = _WAITING) -> None:
        self._log = log
        self._now = now
        self._queue: asyncio.Queue[_Ran] = asyncio.Queue(waiting)
        self._unwritten: dict[tuple[str, str], _Ran] = {}

    @property
    def has_room(self) -> bool:
        """Whether another turn can be taken; if not, the log is slower than the lane."""
        return not self._queue.full()

    def take(self, key: TurnKey, turn: TurnRequest, target: Target) -> None:
        """Takes a turn; there has to be room."""
        ran = _Ran(key, turn, target)
        self._queue.put_nowait(ran)
        self._unwritten[key.tenant, key.conversation_id] = ran

    def after_unwritten(self, key: TurnKey, state: ConversationState) -> ConversationState:
        """The state of a conversation in the log, with what is not written yet."""
        ran = self._unwritten.get((key.tenant, key.conversation_id))
        if ran is None:
            return state
        target = ran.target
        return replace(
            state, last_agent=target.agent, last_capability=target.capability, turn_count=state.turn_count + 1
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Writes while the block runs, and at its end what is left."""
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._write_all())
            try:
                yield
            finally:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LAST_WRITES.total_seconds()):
                        await self._queue.join()
                writing.cancel()

    async def _write_all(self) -> None:
        while True:
            together = [await self._queue.get()]
            while len(together) < _AT_ONCE and not self._queue.empty():
                together.append(self._queue.get_nowait())
            async with asyncio.TaskGroup() as group:
                for ran in together:
                    group.create_task(self._write(ran))
            for _ in together:
                self._queue.task_done()

    async def _write(self, ran: _Ran) -> None:
        try:
            await self._log.record_turn(self._record(ran), ran.turn.context.channel)
        except LmosError as error:
            _LOG.warning("could not record turn %s, which took the express lane: %s", ran.key.turn_id, error)
        where = (ran.key.tenant, ran.key.conversation_id)
        if self._unwritten.get(where) is ran:
            del self._unwritten[where]

    def _record(self, ran: _Ran) -> TurnRecord:
        # The mesh does not see the answer: an empty one says who gave it, which is what routing has to know.
        now, answered = self._now(), Message(Role.AGENT, (), ran.target.agent)
        return TurnRecord(ran.key, ran.turn.message, (answered,), Outcome.COMPLETED, now, now, 0, ran.target.capability)
