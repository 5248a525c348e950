"""The events of one turn on their way: numbered, kept by the log, and given to the caller, in one step."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from lmos_grpc.agent_service.turn_account import TurnAccount
from lmos_grpc.domain.conversation import Durability
from lmos_grpc.domain.event import Accepted, Failure, Outcome, Source, Status, TurnDone, Usage
from lmos_grpc.domain.sensitive import WITHHELD
from lmos_grpc.wire.framed_event import Origin, frame_from

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.conversation import RunningTurn
    from lmos_grpc.domain.event import EventBody
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.errors import LmosError
    from lmos_grpc.rpc import Inflow, Outlet
    from lmos_grpc.wire.framed_event import SaidEvent

_LOG = logging.getLogger(__name__)
_SELF = Source()
# So many events may wait for a log that has to have them first; then the work waits, and with it the agents.
_MOST_UNSHOWN = 64


class TurnEvents:
    """An `Emit`. Nothing here waits but `room`, and whoever calls: an event is taken on in the caller's own step.

    Where the log has to have an event before it is shown, `show` gives events away, in a task of its own. The last
    event is given away by `show_last`, when what the turn led to is in the log.
    """

    def __init__(self, turn: TurnRequest, kept: RunningTurn, outlet: Outlet, tasks: asyncio.TaskGroup) -> None:
        self.account = TurnAccount(turn)
        self._turn_id = turn.turn_id
        self._kept = kept
        self._outlet = outlet
        self._tasks = tasks
        self._sequence = 0
        self._origin = Origin(_SELF)
        self._last: bytes | None = None
        self._sensitive = turn.sensitive
        self._log_comes_first = kept.beginning.durability is Durability.BEFORE_SHOWN
        self._unshown: list[bytes] = []
        self._shown_some = asyncio.Event()
        self._paused: dict[Inflow, None] | None = None

    @property
    def full(self) -> bool:
        """Whether the caller or the log is slow."""
        return self._outlet.full or len(self._unshown) >= _MOST_UNSHOWN

    async def __call__(self, body: EventBody, source: Source = _SELF, /) -> None:
        """Takes an event on once there is room for it; what comes after the end is dropped."""
        if self.full:
            await self.room()
        self.put(body, source)

    def put(self, body: EventBody, source: Source = _SELF, /) -> None:
        """Takes an event on; what comes after the end is dropped."""
        if self._is_over(source):
            return
        self._sequence = sequence = self._sequence + 1
        self.account.take(body, source)
        if self._origin.source is not source:
            self._origin = Origin(source)
        frame = frame_from(sequence, self._turn_id, body, self._origin)
        to_keep = frame_from(sequence, self._turn_id, _to_keep(body), self._origin) if self._sensitive else frame
        self._take(frame, to_keep, last=self.account.outcome is not None)

    def relay(self, event: SaidEvent, source: Source, /) -> None:
        """Takes an event on that an agent said, as its own but for number, turn and source; never the last one."""
        if self._is_over(source):
            return
        self._sequence = sequence = self._sequence + 1
        frame = event.frame_as(sequence, self._turn_id, self.account.relay(event, source))
        if self._log_comes_first or self._sensitive:
            withheld = frame_from(sequence, self._turn_id, Status(WITHHELD), Origin(source))
            self._take(frame, withheld if self._sensitive else frame, last=False)
        else:
            self._kept.add(frame)
            self._outlet.put(frame)

    def hold(self, inflow: Inflow) -> None:
        """Pauses an agent until there is room."""
        inflow.pause()
        if self._paused is None:
            self._paused = {}
            self._tasks.create_task(self._resume_all())
        self._paused[inflow] = None

    async def room(self) -> None:
        """Returns once neither the caller nor the log is slow."""
        await self._outlet.room()
        while len(self._unshown) >= _MOST_UNSHOWN:
            self._shown_some.clear()
            await self._shown_some.wait()
            await self._outlet.room()

    def observe(self, observer: Callable[[EventBody, Source], None]) -> None:
        """Tells of every event that says more than a piece of text, and of the first such piece of each source."""
        self.account.observers.append(observer)

    def fail(self, error: LmosError) -> None:
        """Ends the turn as failed."""
        self.put(Failure(error.detail))
        self.put(TurnDone(Outcome.FAILED))

    def cut_off(self, outcome: Outcome) -> None:
        """Ends the turn for those who follow it, where its caller is gone."""
        self._outlet = _NOBODY
        if self.account.outcome is None:
            self.put(TurnDone(outcome))

    async def show(self) -> None:
        """Gives events away as the log has them, up to the one before the last.

        Raises:
            LmosError: the log cannot keep them.
        """
        shown = 0
        while self._last is None or self._unshown:
            await self._kept.written(shown + 1)
            count = min(self._kept.stored - shown, len(self._unshown))
            for frame in self._unshown[:count]:
                self._outlet.put(frame)
            del self._unshown[:count]
            shown = self._kept.stored
            self._shown_some.set()

    def show_last(self) -> None:
        """Gives the last event to the caller."""
        if self._last is not None:
            self._outlet.put(self._last)

    def _is_over(self, source: Source) -> bool:
        if self.account.outcome is None:
            return False
        _LOG.warning("dropped an event after the end of turn %s from %s", self._turn_id, source.agent)
        return True

    def _take(self, frame: bytes, to_keep: bytes, *, last: bool) -> None:
        self._kept.add(to_keep, last=last)
        if last:
            self._last = frame
        elif self._log_comes_first:
            self._unshown.append(frame)
        else:
            self._outlet.put(frame)

    async def _resume_all(self) -> None:
        await self.room()
        paused, self._paused = self._paused or {}, None
        for inflow in paused:
            inflow.resume()


def _to_keep(body: EventBody) -> EventBody:
    """What the log may have of an event of a sensitive turn: that there was one, and how it ended."""
    match body:
        case Accepted() | Usage():
            return body
        case TurnDone(outcome, usage):
            return TurnDone(outcome, usage)
        case _:
            return Status(WITHHELD)


class _Nobody:
    """The outlet to a caller that is gone."""

    full = False

    def put(self, message: bytes, /) -> None:
        pass

    async def room(self) -> None:
        pass

    async def flushed(self) -> None:
        pass


_NOBODY = _Nobody()
