"""A live session: text turns one after the other, with cancel and end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

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
from lmos_grpc.domain.event import AgentEvent, Failure, Outcome, TurnDone
from lmos_grpc.domain.turn import Message, RouteHint, TurnRequest, User
from lmos_grpc.errors import LmosError, SessionProtocolError, UnsupportedInputError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from datetime import timedelta

    from lmos_grpc.agent_service.session_input import (
        SessionAnswer,
        SessionInput,
    )
    from lmos_grpc.agent_service.turn_execution import TurnExecutor
    from lmos_grpc.domain.event import EventBody
    from lmos_grpc.domain.turn import CallContext

_OUTBOX = 64


class SendSession(Protocol):
    """Gives one event of the session to the caller."""

    def __call__(self, sequence: int, turn_id: str, event: AgentEvent | SessionAnswer, /) -> Awaitable[None]:
        """Returns when the caller's flow control took it."""


class LiveSession:
    """One session of one caller. Everything runs in the caller's own task and one task for the running turn."""

    def __init__(
        self,
        executor: TurnExecutor,
        context: CallContext,
        turn_limit: timedelta,
        send: SendSession,
        *,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        self._executor = executor
        self._context = context
        self._turn_limit = turn_limit
        self._send = send
        self._new_id = new_id
        # Turns are cancelled while they emit; what stands between them and the wire must not be. Hence the queue.
        self._outbox: asyncio.Queue[tuple[str, AgentEvent | SessionAnswer]] = asyncio.Queue(_OUTBOX)
        self._start = StartSession()
        self._turn: asyncio.Task[None] | None = None
        self._turn_id = ""

    async def run(self, inputs: AsyncIterator[SessionInput]) -> None:
        """Holds the session until it ends; half-close means "no more input", and the running turn is finished.

        Raises:
            SessionProtocolError: the first input is no start, or a second start came.
        """
        try:
            await self._hold(inputs)
        except BaseExceptionGroup as failures:
            refused = failures.subgroup(LmosError)
            raise _first(refused) if refused else failures from None

    async def _hold(self, inputs: AsyncIterator[SessionInput]) -> None:
        async with asyncio.TaskGroup() as group:
            writer = group.create_task(self._write())
            await self._open(await anext(inputs, None))
            async with asyncio.TaskGroup() as turns:
                async for each in inputs:
                    if isinstance(each, EndSession):
                        await self._stop_turn(Outcome.CANCELLED)
                        break
                    await self._take(each, turns)
            await self._outbox.put(("", SessionEnded()))
            await self._outbox.join()
            writer.cancel()

    async def _write(self) -> None:
        sequence = 0
        while True:
            turn_id, event = await self._outbox.get()
            sequence += 1
            await self._send(sequence, turn_id, event)
            self._outbox.task_done()

    async def _open(self, first: SessionInput | None) -> None:
        if not isinstance(first, StartSession):
            raise SessionProtocolError("the first input of a live session has to be `start`")
        self._start = replace(first, conversation_id=first.conversation_id or self._new_id())
        await self._outbox.put(("", SessionReady(self._new_id(), self._start.conversation_id)))

    async def _take(self, each: SessionInput, turns: asyncio.TaskGroup) -> None:
        match each:
            case Say():
                await self._stop_turn(Outcome.INTERRUPTED)
                self._turn_id = each.turn_id or self._new_id()
                self._turn = turns.create_task(self._run_turn(each, self._turn_id))
            case CancelTurn(turn_id):
                if turn_id in ("", self._turn_id):
                    await self._stop_turn(Outcome.CANCELLED)
            case PingSession(ping_id):
                await self._outbox.put(("", PongSession(ping_id)))
            case UnsupportedInput(kind) if kind:
                error = UnsupportedInputError(f"this service does not take `{kind}` in a live session", input=kind)
                await self._event("", Failure(error.detail))
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
            await self._executor.run(turn, self._turn_limit, self._send_event)
        except LmosError as error:
            # In a session a refused turn is told in band, so that the session goes on.
            await self._event(turn_id, Failure(error.detail))
            await self._event(turn_id, TurnDone(Outcome.FAILED))

    async def _stop_turn(self, outcome: Outcome) -> None:
        turn, self._turn = self._turn, None
        if turn is None or turn.done():
            return
        turn.cancel()
        await asyncio.wait((turn,))
        if turn.cancelled():
            await self._event(self._turn_id, TurnDone(outcome))

    async def _send_event(self, event: AgentEvent) -> None:
        await self._outbox.put((event.turn_id, event))

    async def _event(self, turn_id: str, body: EventBody) -> None:
        await self._send_event(AgentEvent(0, turn_id, body))


def _first(failures: BaseExceptionGroup[LmosError]) -> LmosError:
    first = failures.exceptions[0]
    return first if isinstance(first, LmosError) else _first(first)
