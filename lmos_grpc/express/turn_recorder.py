"""Writes each turn that took the express lane to the conversation log: once, and after the caller was let go on."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile
from typing import TYPE_CHECKING

from lmos_grpc.domain.conversation import TurnRecord
from lmos_grpc.domain.event import Outcome
from lmos_grpc.domain.turn import Message, Role
from lmos_grpc.errors import LmosError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime

    from lmos_grpc.domain.conversation import TurnKey
    from lmos_grpc.domain.decision import Target
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.express.conversations import Conversations

_LOG = logging.getLogger(__name__)
_WAITING = 1_000
# An answer of the router that came too late leaves the turn to the orchestrator, which begins it in the log at once: so
# it has to come first there, or it would find the turn done.
_SETTLED_AFTER = timedelta(milliseconds=250)
# The log writes together what comes together. A writing of its own for each turn costs more than the turn, and one of
# hundreds holds up the decisions meanwhile.
_PAUSE_SECONDS = 0.25
_SHORT_PAUSE_SECONDS = 0.02
_MANY = 100
_LAST_WRITES = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class _Ran:
    key: TurnKey
    turn: TurnRequest
    target: Target
    settled: float  # when, by the clock of the loop


class TurnRecorder:
    """Takes turns as they are decided, and writes each when it has settled, or before the next of its conversation."""

    def __init__(
        self,
        log: Conversations,
        *,
        now: Callable[[], datetime],
        waiting: int = _WAITING,
        settled_after: timedelta = _SETTLED_AFTER,
    ) -> None:
        self._log = log
        self._now = now
        self._settled_after = settled_after.total_seconds()
        self._most_waiting = waiting
        self._waiting: deque[_Ran] = deque()
        self._came = asyncio.Event()
        self._ending = asyncio.Event()
        self._unwritten: dict[tuple[str, str], _Ran] = {}

    @property
    def has_room(self) -> bool:
        """Whether another turn can be taken; if not, the log is slower than the lane."""
        return len(self._waiting) < self._most_waiting

    def take(self, key: TurnKey, turn: TurnRequest, target: Target) -> None:
        """Takes a turn; there has to be room."""
        ran = _Ran(key, turn, target, asyncio.get_running_loop().time() + self._settled_after)
        self._waiting.append(ran)
        self._came.set()
        self._unwritten[key.tenant, key.conversation_id] = ran

    def is_owed_before(self, turn: TurnRequest) -> bool:
        """Whether the turn before this one in its conversation is still to be written."""
        return self._owed_before(turn) is not None

    async def write_before(self, turn: TurnRequest) -> None:
        """Writes the turn before this one in its conversation: this one is decided in its light, on either lane."""
        if ran := self._owed_before(turn):
            await self._write(ran)

    def _owed_before(self, turn: TurnRequest) -> _Ran | None:
        ran = self._unwritten.get((turn.context.tenant, turn.conversation_id))
        return ran if ran and ran.key.turn_id != turn.turn_id else None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Writes while the block runs, and at its end what is left."""
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._write_all())
            try:
                yield
            finally:
                self._ending.set()
                self._came.set()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LAST_WRITES.total_seconds()):
                        await writing

    async def _write_all(self) -> None:
        while self._waiting or not self._ending.is_set():
            self._came.clear()
            if not self._waiting:
                await self._came.wait()
                continue
            together = await self._settled()
            async with asyncio.TaskGroup() as group:
                for ran in together:
                    group.create_task(self._write(ran))

    async def _settled(self) -> list[_Ran]:
        """The next turns that have settled, after a pause; at the end there is nothing to wait for."""
        now = asyncio.get_running_loop().time
        pause = _PAUSE_SECONDS if len(self._waiting) < _MANY else _SHORT_PAUSE_SECONDS
        with suppress(TimeoutError):
            async with asyncio.timeout_at(max(self._waiting[0].settled, now() + pause)):
                await self._ending.wait()
        # All of them: what comes faster than it is written would close the lane in the end.
        settled = list(takewhile(lambda each: self._ending.is_set() or each.settled <= now(), self._waiting))
        return [self._waiting.popleft() for _ in settled]

    async def _write(self, ran: _Ran) -> None:
        try:
            await self._log.record_turn(self._record(ran), ran.turn.context.channel)
        except LmosError as error:
            _LOG.warning("could not record turn %s, which took the express lane: %s", ran.key.turn_id, error)
        where = (ran.key.tenant, ran.key.conversation_id)
        if self._unwritten.get(where) is ran:
            del self._unwritten[where]

    def _record(self, ran: _Ran) -> TurnRecord:
        # An empty answer says who gave it, which is what routing has to know.
        now, answered = self._now(), Message(Role.AGENT, (), ran.target.agent)
        return TurnRecord(ran.key, ran.turn.message, (answered,), Outcome.UNSEEN, now, now, 0, ran.target.capability)
