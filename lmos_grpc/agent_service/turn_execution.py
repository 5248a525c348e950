"""Runs a turn from admission to its last event, and keeps the promises of the contract on the way.

1. `accepted` comes first, one `turn_done` comes last.  2. Numbers are dense.  3. A failure before the first event
is raised, after it told in band.  4. Cancelling reaches the work.  5. The caller's deadline bounds the work.
6. The same turn id is one turn.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmos_grpc.agent_service.admission import admissible
from lmos_grpc.agent_service.turn_events import TurnEvents
from lmos_grpc.domain.conversation import Durability, TurnKey
from lmos_grpc.domain.event import Accepted, Outcome, TurnDone
from lmos_grpc.domain.live_session import HeardAnswer
from lmos_grpc.domain.sensitive import turn_to_keep
from lmos_grpc.errors import AgentFailedError, DeadlineExceededError, LmosError, TurnNotFoundError, ungrouped
from lmos_grpc.rpc import child_timeout
from lmos_grpc.telemetry.failure import stack_without_text

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import timedelta

    from lmos_grpc.agent_service.turn_account import TurnAccount
    from lmos_grpc.agent_service.turn_runner import TurnRunner, TurnWork
    from lmos_grpc.conversation import RunningTurn, TurnLog
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.rpc import Outlet

_LOG = logging.getLogger(__name__)


def random_id() -> str:
    """An id that nobody else makes."""
    return uuid.uuid4().hex


def _behind(_turn: TurnRequest) -> Durability:
    return Durability.BEHIND


@dataclass(slots=True)
class Interruption:
    """How a live session ends a turn that it cancels, and what was heard of it; to be filled in while the turn runs."""

    outcome: Outcome | None = None
    heard: HeardAnswer | None = None


class TurnExecutor:
    """Runs turns over a runner and a log. `endings` owns what has to be written after a caller is gone."""

    def __init__(
        self,
        runner: TurnRunner,
        log: TurnLog,
        endings: asyncio.TaskGroup,
        *,
        durability: Callable[[TurnRequest], Durability] = _behind,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        self._runner = runner
        self._log = log
        self._endings = endings
        self._durability = durability
        self._new_id = new_id

    async def run(
        self, turn: TurnRequest, time_left: timedelta, outlet: Outlet, interruption: Interruption | None = None
    ) -> None:
        """Runs a turn, or gives the events of the turn that had its id before.

        Where it is cancelled with an outcome of the interruption, its end is in the log when this ends.

        Raises:
            LmosError: the turn was refused before its first event.
        """
        turn = admissible(turn, new_id=self._new_id)
        key = TurnKey(turn.context.tenant, turn.conversation_id, turn.turn_id)
        while (kept := (await self._log.begin(key, turn_to_keep(turn), self._durability(turn))).turn) is None:
            if await self._follow(key, outlet):
                return
        await self._run_new(kept, turn, time_left, outlet, interruption or Interruption())

    async def heard(self, key: TurnKey, answer: HeardAnswer) -> None:
        """Keeps what was heard of a turn that is over, in place of what it said."""
        try:
            await self._log.heard(key, answer)
        except LmosError as error:
            _LOG.warning("could not keep what was heard of turn %s: %s", key.turn_id, error)

    async def _follow(self, key: TurnKey, outlet: Outlet) -> bool:
        """Gives the events of a turn that runs or ran; False where it was refused before its first event."""
        with suppress(TurnNotFoundError):
            async with aclosing(self._log.follow(key, 0)) as events:
                async for event in events:
                    if outlet.full:
                        await outlet.room()
                    outlet.put(event)
            return True
        return False

    async def _run_new(
        self, kept: RunningTurn, turn: TurnRequest, time_left: timedelta, outlet: Outlet, interruption: Interruption
    ) -> None:
        try:
            work = await self._runner.admit(turn, time_left)
        except BaseException:
            # Refused or cancelled before its first event: the id is free again, so that a retry is a new turn.
            self._log.abandon(kept)
            raise
        tasks = asyncio.TaskGroup()
        events = TurnEvents(turn, kept, outlet, tasks)
        try:
            with ungrouped():
                async with tasks:
                    if kept.beginning.durability is Durability.BEFORE_SHOWN:
                        tasks.create_task(events.show())
                    events.put(Accepted(turn.conversation_id))
                    await _work_within(child_timeout(time_left), work, events, sensitive=turn.sensitive)
            # In this order: who reads of the end may ask on at once, and is decided on by what this turn left behind.
            await self._finish(kept, events.account, interruption)
            events.show_last()
        except BaseException as error:
            cancelled = Outcome.CANCELLED if isinstance(error, asyncio.CancelledError) else Outcome.FAILED
            events.cut_off(interruption.outcome or cancelled)
            # The servicer must not wait any more; what is owed to the log is paid by somebody who may.
            ending = self._leave_to_endings(self._finish(kept, events.account, interruption))
            if ending and interruption.outcome:
                await asyncio.wait((ending,))
            raise

    def _leave_to_endings(self, ending: Coroutine[None, None, None]) -> asyncio.Task[None] | None:
        try:
            return self._endings.create_task(ending)
        except RuntimeError:
            # A server that stops does not wait for handlers that were cancelled (grpc/grpc#37239), so that one of them
            # may come here when everything else has ended. What it owes is paid when the log is opened again.
            ending.close()
            _LOG.warning("a turn was still open when the server ended")
            return None

    async def _finish(self, kept: RunningTurn, account: TurnAccount, interruption: Interruption) -> None:
        try:
            before = await self._log.state(kept.key.tenant, kept.key.conversation_id)
            outcome = account.outcome or Outcome.FAILED
            responses = account.responses(interruption.heard or _cut_short(kept, interruption))
            await self._log.finish(kept, outcome, responses, account.state_after(before))
        except LmosError as error:
            # The caller has the answer, and is told of its end all the same.
            _LOG.warning("could not close turn %s in the log: %s", kept.key.turn_id, error)


def _cut_short(kept: RunningTurn, interruption: Interruption) -> HeardAnswer | None:
    return HeardAnswer(kept.key.turn_id, interrupted=True) if interruption.outcome else None


async def _work_within(limit: timedelta, work: TurnWork, events: TurnEvents, *, sensitive: bool) -> None:
    """Works on a turn until its last event."""
    deadline, failure = asyncio.timeout(limit.total_seconds()), None
    try:
        async with deadline:
            await work(events)
    except LmosError as error:
        failure = error
    except Exception as error:  # noqa: BLE001 # the edge of the turn: its caller is owed a last event, whatever was raised
        failure = _failure(error, limit, in_time=not deadline.expired(), sensitive=sensitive)
    if (task := asyncio.current_task()) and task.cancelling():
        # The agent's code swallowed it. Whatever it says, the caller is gone.
        raise asyncio.CancelledError
    if failure:
        events.fail(failure)
    elif events.account.outcome is None:
        events.put(TurnDone(Outcome.COMPLETED))


def _failure(error: Exception, limit: timedelta, *, in_time: bool, sensitive: bool) -> LmosError:
    if isinstance(error, TimeoutError) and not in_time:
        return DeadlineExceededError(f"the turn was not done within {limit.total_seconds():.1f} s")
    if sensitive:
        _LOG.error("a turn with sensitive input failed\n%s", stack_without_text(error))
    else:
        _LOG.error("a turn failed", exc_info=error)
    return AgentFailedError("the agent failed; its log and the trace of this call tell more")
