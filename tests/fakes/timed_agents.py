"""Agents that say what a plan says at the times that it says, and a caller that reads as slowly as it says."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lmos_grpc.domain.event import (
    Accepted,
    AgentEvent,
    Clarification,
    Failure,
    MessageDone,
    Outcome,
    Status,
    TextDelta,
    TurnDone,
)
from lmos_grpc.domain.turn import Message
from lmos_grpc.errors import AgentFailedError, UnreachableError
from lmos_grpc.wire.framed_event import event_of, frame_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from lmos_grpc.clients.agent_session import AgentSession
    from lmos_grpc.domain.event import EventBody
    from lmos_grpc.domain.live_session import SessionStart
    from lmos_grpc.domain.turn import CallContext, TurnRequest

GOOD = frozenset({"completes", "asks"})
SAYS = ("text", "status", "message")
ENDS = ("completes", "asks", "fails", "breaks", "refuses", "hangs")


@dataclass(frozen=True)
class Plan:
    """What one agent says, each after so many seconds, and how it ends so long after that.

    What `pushes` comes in steps of its own, as from a transport that pushes; else in steps of who waits for the end.
    """

    says: tuple[tuple[float, str], ...] = ()
    end: str = "completes"
    end_after: float = 0.0
    pushes: bool = False

    @property
    def good(self) -> bool:
        """Whether it comes to a good answer, if it is let."""
        return self.end in GOOD and (self.end == "asks" or any(kind != "status" for _, kind in self.says))

    def bodies(self, agent: str) -> list[EventBody]:
        """All that it says, each piece told from every other one."""
        if self.end == "refuses":
            return []
        said = [_body(kind, f"{agent}#{number}") for number, (_, kind) in enumerate(self.says)]
        return [*said, Clarification(f"{agent}#?", "which?")] if self.end == "asks" else said


def _body(kind: str, text: str) -> EventBody:
    match kind:
        case "text":
            return TextDelta(text)
        case "message":
            return MessageDone(Message.from_user(text))
        case _:
            return Status(text)


@dataclass(eq=False)
class TimedCall:
    """An `Inflow` of one agent, and what became of it."""

    agent: str
    plan: Plan
    on_message: Callable[[bytes], None]
    began: float
    cancelled_at: float | None = None
    ended_at: float | None = None
    _paused: asyncio.Future[None] | None = None
    _cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    _sequence: int = 0
    _pushing: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        if self.plan.pushes:
            self._pushing = asyncio.ensure_future(self._speak())
            # Nobody waits for a call that was cancelled.
            self._pushing.add_done_callback(lambda task: task.cancelled() or task.exception())

    def pause(self) -> None:
        if self._paused is None:
            self._paused = asyncio.get_running_loop().create_future()

    def resume(self) -> None:
        if self._paused is not None and not self._paused.done():
            self._paused.set_result(None)
        self._paused = None

    def cancel(self) -> None:
        if self.ended_at is None:
            self._mark_cancelled()
        self._cancelled.set()
        self.resume()

    async def ended(self) -> None:
        try:
            await (asyncio.shield(self._pushing) if self._pushing else self._speak())
        except asyncio.CancelledError:
            self._mark_cancelled()
            raise
        finally:
            self.ended_at = asyncio.get_running_loop().time()

    def _mark_cancelled(self) -> None:
        if self.cancelled_at is None:
            self.cancelled_at = asyncio.get_running_loop().time()

    async def _speak(self) -> None:
        if self.plan.end == "refuses":
            await self._pass(self.plan.end_after)
            raise UnreachableError(f"{self.agent} is away")
        await self._say(Accepted(), 0)
        for body, (seconds, _) in zip(self.plan.bodies(self.agent), self.plan.says, strict=False):
            await self._say(body, seconds)
        match self.plan.end:
            case "hangs":
                await self._cancelled.wait()
            case "breaks":
                await self._pass(self.plan.end_after)
                raise UnreachableError(f"{self.agent} broke off")
            case "fails":
                await self._say(Failure(AgentFailedError("no").detail), self.plan.end_after)
                await self._say(TurnDone(Outcome.FAILED), 0)
            case "asks":
                await self._say(self.plan.bodies(self.agent)[-1], self.plan.end_after)
                await self._say(TurnDone(Outcome.INPUT_REQUIRED), 0)
            case _:
                await self._say(TurnDone(Outcome.COMPLETED), self.plan.end_after)

    async def _say(self, body: EventBody, seconds: float) -> None:
        await self._pass(seconds)
        if self._paused is not None:
            await self._paused
        if not self._cancelled.is_set():
            self._sequence += 1
            self.on_message(frame_of(AgentEvent(self._sequence, "t", body)))

    async def _pass(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._cancelled.wait(), seconds)
        except TimeoutError:
            return


@dataclass
class TimedAgents:
    """An `AgentCaller` of agents with plans, by name."""

    plans: dict[str, Plan]
    calls: list[TimedCall] = field(default_factory=list)

    def receive(
        self,
        turn: TurnRequest,
        on_message: Callable[[bytes], None],
        *,
        route: str = "",
        timeout: timedelta | None = None,
    ) -> TimedCall:
        assert timeout is not None
        assert route.startswith(f"{turn.hint.agent}/")
        name = turn.hint.agent
        call = TimedCall(name, self.plans[name], on_message, asyncio.get_running_loop().time())
        self.calls.append(call)
        return call

    def converse(self, start: SessionStart, context: CallContext, *, route: str) -> AgentSession:
        raise AssertionError((start, context, route))

    @property
    def asked(self) -> Counter[str]:
        return Counter(call.agent for call in self.calls)


@dataclass
class SlowReader:
    """An `Outlet` to a caller that takes an event every so many seconds; 0: at once. It is full with `room_for`."""

    seconds: float = 0.0
    room_for: int = 4
    events: list[AgentEvent] = field(default_factory=list)
    waiting: int = 0
    most_waiting: int = 0
    _eased: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def full(self) -> bool:
        return self.waiting >= self.room_for

    def put(self, message: bytes, /) -> None:
        self.events.append(event_of(message))
        if not self.seconds:
            return
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        if self.waiting == 1:
            asyncio.get_running_loop().call_later(self.seconds, self._take)

    async def room(self) -> None:
        while self.full:
            self._eased.clear()
            await self._eased.wait()

    async def flushed(self) -> None:
        pass

    def _take(self) -> None:
        self.waiting -= 1
        self._eased.set()
        if self.waiting:
            asyncio.get_running_loop().call_later(self.seconds, self._take)
