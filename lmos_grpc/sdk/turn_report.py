"""Tells the mesh what became of a turn that it did not see: one that came over the express lane."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from lmos_grpc.domain.conversation import TurnKey, TurnRecord
from lmos_grpc.domain.event import MessageDone, Outcome, Source, TextDelta, TurnDone
from lmos_grpc.domain.turn import Lane, Message, Role, TextPart
from lmos_grpc.errors import LmosError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from lmos_grpc.domain.event import EventBody
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.sdk.answering import Tell

    _Told = Callable[["_Report", Outcome], Awaitable[None]]

_LOG = logging.getLogger(__name__)
_SELF = Source()


class TurnRecorder(Protocol):
    """Writes turns to the log of the mesh."""

    async def record_turn(self, record: TurnRecord, channel: str) -> None:
        """As `TurnLog.record_turn`."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class TurnReports:
    """Reports turns to `recorder`; None: nobody is told."""

    def __init__(self, recorder: TurnRecorder | None, *, now: Callable[[], datetime] = _utc_now) -> None:
        self._recorder = recorder
        self._now = now
        self._late = asyncio.TaskGroup()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Reports while the block runs, and at its end waits for what is on its way."""
        await self._late.__aenter__()
        try:
            # Entered by hand, so that what ends the block leaves it as itself and not as a group.
            yield
        finally:
            await self._late.__aexit__(None, None, None)

    def of(self, turn: TurnRequest, source: Source, emit: Tell) -> AbstractAsyncContextManager[Tell]:
        """Gives the emit through which the turn in the block has to answer, so that it is reported at its end."""
        if self._recorder is None or turn.context.lane is not Lane.EXPRESS:
            return nullcontext(emit)
        return self._reported(_Report(turn, source, emit, self._now(), self._send))

    @asynccontextmanager
    async def _reported(self, report: _Report) -> AsyncIterator[Tell]:
        try:
            yield report
        except asyncio.CancelledError:
            # Nobody waits any more, and so this must not either.
            self._late.create_task(self._send(report, Outcome.CANCELLED))
            raise
        except BaseException:
            await self._send(report, Outcome.FAILED)
            raise

    async def _send(self, report: _Report, outcome: Outcome) -> None:
        if self._recorder is None or report.sent:
            return
        report.sent = True
        record = report.record(outcome, self._now())
        try:
            await self._recorder.record_turn(record, report.channel)
        except LmosError as error:
            _LOG.warning("could not tell the mesh of turn %s: %s", record.key.turn_id, error)


class _Report:
    """A `Tell` that listens. The end is passed on once the mesh knows of it: who reads it may ask on at once."""

    def __init__(self, turn: TurnRequest, source: Source, emit: Tell, began: datetime, told: _Told) -> None:
        self.channel = turn.context.channel
        self.sent = False
        self._turn = turn
        self._source = source
        self._emit = emit
        self._began = began
        self._told = told
        self._pieces: list[str] = []
        self._responses: list[Message] = []
        self._events = 1  # the one that accepts the turn

    async def __call__(self, body: EventBody, source: Source = _SELF, /) -> None:
        self._events += 1
        match body:
            case TextDelta(text):
                self._pieces.append(text)
            case MessageDone(message):
                self._pieces.clear()
                self._responses.append(message)
            case TurnDone(outcome):
                await self._told(self, outcome)
        await self._emit(body, source)

    def record(self, outcome: Outcome, now: datetime) -> TurnRecord:
        """The turn as it is known here."""
        turn, agent = self._turn, self._source.agent
        key = TurnKey(turn.context.tenant, turn.conversation_id, turn.turn_id)
        said = [*self._responses]
        if self._pieces or not said:
            parts = (TextPart("".join(self._pieces)),) if self._pieces else ()
            said.append(Message(Role.AGENT, parts, agent, turn.turn_id, interrupted=bool(self._pieces)))
        capability = self._source.capability or turn.hint.capability
        return TurnRecord(key, turn.message, tuple(said), outcome, self._began, now, self._events, capability)
