"""Turn logs of every kind, over a clock that the test moves by hand, and turns to put into them."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lmos_grpc.conversation import MemoryTurnLog, open_turn_log
from lmos_grpc.domain.conversation import ConversationState, Durability, TurnKey
from lmos_grpc.domain.event import Accepted, AgentEvent, Outcome, Source, TextDelta, TurnDone
from lmos_grpc.domain.turn import CallContext, Message, Role, TextPart, TurnRequest
from lmos_grpc.wire.framed_event import event_of, frame_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from datetime import timedelta
    from pathlib import Path

    from lmos_grpc.conversation import Begun, RunningTurn, TurnLog

LIMIT = 5.0
KEY = TurnKey("de", "c", "t")
BILLING = Source("billing", "1.0.0", "invoice")


class HandTime:
    """A moment that moves when the test says so."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, span: timedelta) -> None:
        self.moment += span


@dataclass
class LogMaker:
    """Opens a log of one kind; the file, where there is one, is the same each time."""

    kind: str
    folder: Path
    time: HandTime

    @asynccontextmanager
    async def open(self) -> AsyncIterator[KeyedLog]:
        if self.kind == "memory":
            yield KeyedLog(MemoryTurnLog(now=self.time))
            return
        async with open_keyed_log(self.folder / "conversations.db", Durability(self.kind), now=self.time) as log:
            yield log


class KeyedLog:
    """A log whose turns are named by their keys; it remembers those that were begun over it."""

    def __init__(self, log: TurnLog, durability: Durability = Durability.BEHIND) -> None:
        self.log = log
        self.durability = durability
        self.turns: dict[TurnKey, RunningTurn] = {}

    async def begin(self, key: TurnKey, request: TurnRequest) -> Begun:
        begun = await self.log.begin(key, request, self.durability)
        if begun.turn:
            self.turns[key] = begun.turn
        return begun

    async def append(self, key: TurnKey, *events: AgentEvent) -> None:
        """Adds the events, and waits until they are where the turn wants them to be."""
        turn = self.turns[key]
        for event in events:
            turn.add(frame_of(event), last=isinstance(event.body, TurnDone))
        if turn.beginning.durability is Durability.BEFORE_SHOWN:
            await turn.written(turn.last)

    async def finish(
        self, key: TurnKey, outcome: Outcome, responses: tuple[Message, ...], state: ConversationState
    ) -> None:
        await self.log.finish(self.turns[key], outcome, responses, state)

    async def abandon(self, key: TurnKey) -> None:
        self.log.abandon(self.turns[key])

    async def follow(self, key: TurnKey, after: int) -> AsyncGenerator[AgentEvent, None]:
        async with aclosing(self.log.follow(key, after)) as events:
            async for event in events:
                yield event_of(event)

    def __getattr__(self, name: str) -> Any:  # Any: all the rest is the log's
        return getattr(self.log, name)


@asynccontextmanager
async def open_keyed_log(
    path: Path, durability: Durability = Durability.BEFORE_SHOWN, **settings: Any
) -> AsyncIterator[KeyedLog]:
    """As `open_turn_log`."""
    async with open_turn_log(path, **settings) as log:
        yield KeyedLog(log, durability)


def asks(text: str = "hi", *, channel: str = "web") -> TurnRequest:
    return TurnRequest(Message.from_user(text), context=CallContext(channel=channel))


def says(text: str, agent: str = "billing") -> Message:
    return Message(Role.AGENT, (TextPart(text),), agent)


def accepted(key: TurnKey = KEY) -> AgentEvent:
    return AgentEvent(1, key.turn_id, Accepted(key.conversation_id))


def word(sequence: int, text: str = "word", key: TurnKey = KEY) -> AgentEvent:
    return AgentEvent(sequence, key.turn_id, TextDelta(text), BILLING)


def done(sequence: int, outcome: Outcome = Outcome.COMPLETED, key: TurnKey = KEY) -> AgentEvent:
    return AgentEvent(sequence, key.turn_id, TurnDone(outcome))


async def run_turn(log: KeyedLog, key: TurnKey = KEY, *, text: str = "hi", answer: str = "word") -> None:
    """A whole turn: three events and an end."""
    await log.begin(key, asks(text))
    await log.append(key, accepted(key), word(2, answer, key))
    await log.append(key, done(3, key=key))
    await log.finish(key, Outcome.COMPLETED, (says(answer),), ConversationState("billing", "invoice"))


async def follow(log: KeyedLog, key: TurnKey = KEY, after: int = 0) -> list[AgentEvent]:
    """All events of a turn after a number, to its end."""
    async with asyncio.timeout(LIMIT):
        return [event async for event in log.follow(key, after)]


def numbers(events: list[AgentEvent]) -> list[int]:
    return [event.sequence for event in events]
