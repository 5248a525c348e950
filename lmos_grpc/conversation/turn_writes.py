"""When the turns that run are written: at once where a caller waits for it, else in large steps."""

from __future__ import annotations

import asyncio
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from lmos_grpc.conversation.sqlite_writes import TurnWrite
from lmos_grpc.domain.conversation import Durability
from lmos_grpc.errors import InternalError, LmosError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.conversation.group_commit import GroupCommit
    from lmos_grpc.conversation.running_turn import RunningTurn

# What nobody waits for is written when it has waited so long; a turn that has ended, at the next look.
_LONGEST_WAIT_SECONDS = 1.0
_LOOK_SECONDS = 0.1
# So many bytes of one turn do not wait.
_MOST_BYTES = 256 * 1024


class TurnWrites:
    """Gives what is new of each turn to the writer; `settle` is told when the last of a turn is written, or fails."""

    def __init__(self, writer: GroupCommit, settle: Callable[[RunningTurn], None]) -> None:
        self._writer = writer
        self._settle = settle
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[RunningTurn, None] = {}
        # A turn has one write at a time.
        self._at_work: dict[RunningTurn, asyncio.Future[int]] = {}
        self._look: asyncio.TimerHandle | None = None

    def attend(self, turn: RunningTurn) -> None:
        """More of a turn waits than it had patience for."""
        if turn.beginning.durability is Durability.BEFORE_SHOWN:
            # Not now, so that what comes in the same moment goes with it.
            turn.patience = inf
            self._waiting[turn] = None
            self._loop.call_soon(self._write, turn)
        elif turn.patience:
            self._write(turn)
        else:
            turn.patience = _MOST_BYTES
            self._wait(turn)

    def end(self, turn: RunningTurn) -> None:
        """The turn has its end."""
        if turn.beginning.durability is Durability.BEFORE_SHOWN:
            self._write(turn)
        else:
            self._wait(turn)
            turn.close()

    async def flush(self, tenant: str | None = None, conversation_id: str = "") -> None:
        """Returns when all that is there now is written, of one conversation or of all."""
        for _ in range(2):  # what is at work may be older than what waits
            turns = [
                turn
                for turn in {**self._waiting, **dict.fromkeys(self._at_work)}
                if tenant is None or (turn.key.tenant, turn.key.conversation_id) == (tenant, conversation_id)
            ]
            for turn in turns:
                self._write(turn)
            if writes := [self._at_work[turn] for turn in turns if turn in self._at_work]:
                await asyncio.wait(writes)

    async def close(self) -> None:
        """Writes all that is there."""
        await self.flush()
        if self._look:
            self._look.cancel()

    def _wait(self, turn: RunningTurn) -> None:
        if turn not in self._waiting:
            self._waiting[turn] = None
            turn.waits_since = self._loop.time()
        if self._look is None:
            self._look = self._loop.call_later(_LOOK_SECONDS, self._look_around)

    def _look_around(self) -> None:
        self._look = None
        long_ago = self._loop.time() - _LONGEST_WAIT_SECONDS
        for turn in list(self._waiting):
            if turn.end or turn.waits_since <= long_ago:
                self._write(turn)
        if self._waiting:
            self._look = self._loop.call_later(_LOOK_SECONDS, self._look_around)

    def _write(self, turn: RunningTurn) -> None:
        if turn in self._at_work or turn.lost:
            return
        self._waiting.pop(turn, None)
        first, events = turn.hand_over()
        if not events and turn.end is None:
            return
        turn.patience = 0
        write = TurnWrite(turn, first, events, turn.end)
        try:
            done = self._at_work[turn] = self._writer.submit(write)
        except StoreUnavailableError as error:
            self._lose(turn, error)
        else:
            done.add_done_callback(partial(self._written, write))

    def _written(self, write: TurnWrite, done: asyncio.Future[int]) -> None:
        turn = write.turn
        del self._at_work[turn]
        error = done.exception()
        if error is not None:
            self._lose(turn, error if isinstance(error, LmosError) else InternalError(f"the log failed: {error}"))
            return
        turn.row = done.result()
        turn.store(write.last)
        if write.end:
            turn.close()
            self._settle(turn)
        elif turn.end or (turn.beginning.durability is Durability.BEFORE_SHOWN and turn.handed < turn.last):
            self._write(turn)

    def _lose(self, turn: RunningTurn, error: LmosError) -> None:
        self._waiting.pop(turn, None)
        turn.lose(error)
        self._settle(turn)
