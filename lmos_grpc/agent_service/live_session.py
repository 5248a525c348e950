"""A live session: text turns one after the other, with cancel and end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from lmos_grpc.agent_service.session_input import (
    CancelTurn,
    EndSession,
    PingSession,
    PongSession,
    Say,
    SessionEnded,
    SessionReady,
    StartSession,
    UnsupportedInput,
)
from lmos_grpc.agent_service.turn_execution import random_id
from lmos_grpc.agent_service.wire import answer_frame
from lmos_grpc.domain.event import AgentEvent, Failure, Outcome, TurnDone
from lmos_grpc.domain.turn import Message, RouteHint, TurnRequest, User
from lmos_grpc.errors import LmosError, SessionProtocolError, UnsupportedInputError, ungrouped
from lmos_grpc.wire.framed_event import frame_of, renumbered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import timedelta

    from lmos_grpc.agent_service.session_input import (
        SessionAnswer,
        SessionInput,
    )
    from lmos_grpc.agent_service.turn_execution import TurnExecutor
    from lmos_grpc.domain.event import EventBody
    from lmos_grpc.domain.turn import CallContext
    from lmos_grpc.rpc import Outlet


class LiveSession:
    """One session of one caller. Everything runs in the caller's own task and one task for the running turn."""

    def __init__(
        self,
        executor: TurnExecutor,
        context: CallContext,
        turn_limit: timedelta,
        outlet: Outlet,
        *,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        self._executor = executor
        self._context = context
        self._turn_limit = turn_limit
        self._outlet = _Numbering(outlet)
        self._new_id = new_id
        self._start = StartSession()
        self._turn: asyncio.Task[None] | None = None
        self._turn_id = ""

    async def run(self, inputs: AsyncIterator[SessionInput]) -> None:
        """Holds the session until it ends; half-close means "no more input", and the running turn is finished.

        Raises:
            SessionProtocolError: the first input is no start, or a second start came.
        """
        with ungrouped():
            self._open(await anext(inputs, None))
            async with asyncio.TaskGroup() as turns:
                async for each in inputs:
                    if isinstance(each, EndSession):
                        await self._stop_turn(Outcome.CANCELLED)
                        break
                    await self._take(each, turns)
            self._answer(SessionEnded())

    def _open(self, first: SessionInput | None) -> None:
        if not isinstance(first, StartSession):
            raise SessionProtocolError("the first input of a live session has to be `start`")
        self._start = replace(first, conversation_id=first.conversation_id or self._new_id())
        self._answer(SessionReady(self._new_id(), self._start.conversation_id))

    async def _take(self, each: SessionInput, turns: asyncio.TaskGroup) -> None:
        if self._outlet.full:
            await self._outlet.room()
        match each:
            case Say():
                await self._stop_turn(Outcome.INTERRUPTED)
                self._turn_id = each.turn_id or self._new_id()
                self._turn = turns.create_task(self._run_turn(each, self._turn_id))
            case CancelTurn(turn_id):
                if turn_id in ("", self._turn_id):
                    await self._stop_turn(Outcome.CANCELLED)
            case PingSession(ping_id):
                self._answer(PongSession(ping_id))
            case UnsupportedInput(kind) if kind:
                error = UnsupportedInputError(f"this service does not take `{kind}` in a live session", input=kind)
                self._event("", Failure(error.detail))
            case StartSession():
                raise SessionProtocolError("a second `start` came in a live session")

    async def _run_turn(self, said: Say, turn_id: str) -> None:
        turn = TurnRequest(
            message=Message.from_user(said.text),
            conversation_id=self._start.conversation_id,
            turn_id=turn_id,
            hint=RouteHint(agent=self._start.agent),
            user=User(self._start.user_id, said.locale or self._start.locale),
            context=self._context,
        )
        try:
            await self._executor.run(turn, self._turn_limit, self._outlet)
        except LmosError as error:
            # In a session a refused turn is told in band, so that the session goes on.
            self._event(turn_id, Failure(error.detail))
            self._event(turn_id, TurnDone(Outcome.FAILED))

    async def _stop_turn(self, outcome: Outcome) -> None:
        turn, self._turn = self._turn, None
        if turn is None or turn.done():
            return
        turn.cancel()
        await asyncio.wait((turn,))
        if turn.cancelled():
            self._event(self._turn_id, TurnDone(outcome))

    def _answer(self, answer: SessionAnswer) -> None:
        self._outlet.put(answer_frame(answer))

    def _event(self, turn_id: str, body: EventBody) -> None:
        self._outlet.put(frame_of(AgentEvent(0, turn_id, body)))


class _Numbering:
    """The outlet of a session, in which numbers count through all of its turns."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._sequence = 0

    @property
    def full(self) -> bool:
        return self._outlet.full

    def put(self, message: bytes, /) -> None:
        self._sequence += 1
        self._outlet.put(renumbered(message, self._sequence))

    async def room(self) -> None:
        await self._outlet.room()

    async def flushed(self) -> None:
        await self._outlet.flushed()
