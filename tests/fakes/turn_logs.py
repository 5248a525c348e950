"""Turn logs of every kind, over a clock that the test moves by hand, and turns to put into them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lmos_grpc.conversation import MemoryTurnLog, open_turn_log
from lmos_grpc.domain.conversation import ConversationState, TurnKey
from lmos_grpc.domain.event import Accepted, AgentEvent, Outcome, Source, TextDelta, TurnDone
from lmos_grpc.domain.turn import CallContext, Message, Role, TextPart, TurnRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import timedelta
    from pathlib import Path

    from lmos_grpc.conversation import TurnLog

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
    async def open(self) -> AsyncIterator[TurnLog]:
        if self.kind == "memory":
            yield MemoryTurnLog(now=self.time)
            return
        async with open_turn_log(self.folder / "conversations.db", now=self.time) as log:
            yield log


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


async def run_turn(log: TurnLog, key: TurnKey = KEY, *, text: str = "hi", answer: str = "word") -> None:
    """A whole turn: three events and an end."""
    await log.begin(key, asks(text))
    await log.append(key, accepted(key), word(2, answer, key))
    await log.append(key, done(3, key=key))
    await log.finish(key, Outcome.COMPLETED, (says(answer),), ConversationState("billing", "invoice"))


async def follow(log: TurnLog, key: TurnKey = KEY, after: int = 0) -> list[AgentEvent]:
    """All events of a turn after a number, to its end."""
    async with asyncio.timeout(LIMIT):
        return [event async for event in log.follow(key, after)]


def numbers(events: list[AgentEvent]) -> list[int]:
    return [event.sequence for event in events]
