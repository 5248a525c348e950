"""Runs a turn from admission to its last event, and keeps the promises of the contract on the way.

1. `accepted` comes first, one `turn_done` comes last.  2. Numbers are dense.  3. A failure before the first event
is raised, after it told in band.  4. Cancelling reaches the work.  5. The caller's deadline bounds the work.
6. The same turn id is one turn.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from contextlib import aclosing, contextmanager, suppress
from typing import TYPE_CHECKING

from lmos_grpc.agent_service.admission import admissible
from lmos_grpc.agent_service.event_stream import EventStream, accepted
from lmos_grpc.agent_service.event_writer import EventWriter
from lmos_grpc.domain.conversation import TurnKey
from lmos_grpc.domain.event import Outcome, Source, TurnDone
from lmos_grpc.errors import AgentFailedError, DeadlineExceededError, LmosError, TurnNotFoundError
from lmos_grpc.rpc import child_timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from datetime import timedelta

    from lmos_grpc.agent_service.event_writer import Send
    from lmos_grpc.agent_service.turn_runner import TurnRunner, TurnWork
    from lmos_grpc.conversation import TurnLog
    from lmos_grpc.domain.turn import TurnRequest

_LOG = logging.getLogger(__name__)
_SELF = Source()


def random_id() -> str:
    """An id that nobody else makes."""
    return uuid.uuid4().hex


class TurnExecutor:
    """Runs turns over a runner and a log. `endings` owns what has to be written after a caller is gone."""

    def __init__(
        self,
        runner: TurnRunner,
        log: TurnLog,
        endings: asyncio.TaskGroup,
        *,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        self._runner = runner
        self._log = log
        self._endings = endings
        self._new_id = new_id

    async def run(self, turn: TurnRequest, time_left: timedelta, send: Send) -> None:
        """Runs a turn, or gives the events of the turn that had its id before.

        Raises:
            LmosError: the turn was refused before its first event.
        """
        turn = admissible(turn, new_id=self._new_id)
        key = TurnKey(turn.context.tenant, turn.conversation_id, turn.turn_id)
        while not (await self._log.begin(key, turn)).is_new:
            if await self._follow(key, send):
                return
        await self._run_new(key, turn, time_left, send)

    async def _follow(self, key: TurnKey, send: Send) -> bool:
        """Gives the events of a turn that runs or ran; False where it was refused before its first event."""
        with suppress(TurnNotFoundError):
            async with aclosing(self._log.follow(key, 0)) as events:
                async for event in events:
                    await send(event)
            return True
        return False

    async def _run_new(self, key: TurnKey, turn: TurnRequest, time_left: timedelta, send: Send) -> None:
        try:
            work = await self._runner.admit(turn, time_left)
        except BaseException:
            # Refused or cancelled before its first event: the id is free again, so that a retry is a new turn.
            self._leave_to_endings(self._abandon(key))
            raise
        emit = EventWriter(key, EventStream(turn), self._log, send)
        try:
            with _bare_errors():
                async with asyncio.TaskGroup() as group:
                    group.create_task(emit.write())
                    await emit(accepted(turn))
                    await _work_within(child_timeout(time_left), work, emit)
            # In this order: who reads of the end may ask on at once, and is decided on by what this turn left behind.
            await self._finish(key, emit.stream)
            await emit.send_last()
        except BaseException as error:
            # The servicer must not wait any more; what is owed to the log is paid by somebody who may.
            outcome = Outcome.CANCELLED if isinstance(error, asyncio.CancelledError) else Outcome.FAILED
            self._leave_to_endings(self._close(key, emit, outcome))
            raise

    def _leave_to_endings(self, ending: Coroutine[None, None, None]) -> None:
        try:
            self._endings.create_task(ending)
        except RuntimeError:
            # A server that stops does not wait for handlers that were cancelled (grpc/grpc#37239), so that one of them
            # may come here when everything else has ended. What it owes is paid when the log is opened again.
            ending.close()
            _LOG.warning("a turn was still open when the server ended")

    async def _abandon(self, key: TurnKey) -> None:
        try:
            await self._log.abandon(key)
        except LmosError as error:
            _LOG.warning("could not free the id of turn %s, which was refused: %s", key.turn_id, error)

    async def _finish(self, key: TurnKey, stream: EventStream) -> None:
        try:
            before = await self._log.state(key.tenant, key.conversation_id)
            outcome = stream.outcome or Outcome.FAILED
            await self._log.finish(key, outcome, stream.responses(), stream.state_after(before))
        except LmosError as error:
            # The caller has the answer, and is told of its end all the same.
            _LOG.warning("could not close turn %s in the log: %s", key.turn_id, error)

    async def _close(self, key: TurnKey, emit: EventWriter, outcome: Outcome) -> None:
        """Ends a turn whose caller is gone, for those who follow it or read it later."""
        owed, stream = emit.unwritten, emit.stream
        if stream.outcome is None and (end := stream.draft(TurnDone(outcome))):
            stream.commit(end)
            owed = [*owed, end]
        try:
            if owed:
                await self._log.append(key, *owed)
        except LmosError as error:
            _LOG.warning("could not log the end of turn %s: %s", key.turn_id, error)
            return
        await self._finish(key, stream)


async def _work_within(limit: timedelta, work: TurnWork, emit: EventWriter) -> None:
    """Works on a turn until its last event."""
    deadline, failure = asyncio.timeout(limit.total_seconds()), None
    try:
        async with deadline:
            await work(emit)
    except LmosError as error:
        failure = error
    except Exception as error:  # noqa: BLE001 # the edge of the turn: its caller is owed a last event, whatever was raised
        failure = _failure(error, limit, in_time=not deadline.expired())
    if (task := asyncio.current_task()) and task.cancelling():
        # The agent's code swallowed it. Whatever it says, the caller is gone.
        raise asyncio.CancelledError
    if failure:
        await emit.fail(failure)
    elif emit.stream.outcome is None:
        await emit(TurnDone(Outcome.COMPLETED))


def _failure(error: Exception, limit: timedelta, *, in_time: bool) -> LmosError:
    if isinstance(error, TimeoutError) and not in_time:
        return DeadlineExceededError(f"the turn was not done within {limit.total_seconds():.1f} s")
    _LOG.error("a turn failed", exc_info=error)
    return AgentFailedError("the agent failed; its log and the trace of this call tell more")


@contextmanager
def _bare_errors() -> Iterator[None]:
    """Lets the first error out that a task group holds, as itself."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
