"""The recorder of the express lane: every turn once, and none held up by those before it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from lmos_grpc.domain.conversation import TurnKey
from lmos_grpc.domain.decision import Target
from lmos_grpc.domain.turn import Message, TurnRequest
from lmos_grpc.express import TurnRecorder

if TYPE_CHECKING:
    from lmos_grpc.domain.conversation import ConversationState, TurnRecord

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TARGET = Target("billing-agent", "1.0.0")


class SlowLog:
    """A log that writes when it is told to."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.begins = asyncio.Event()
        self.go_on = asyncio.Event()

    async def state_before(self, key: TurnKey) -> ConversationState | None:
        raise NotImplementedError(key)

    async def record_turn(self, record: TurnRecord, channel: str) -> None:
        del channel
        self.begun.append(record.key.turn_id)
        self.begins.set()
        await self.go_on.wait()


def take(recorder: TurnRecorder, number: int) -> None:
    turn = TurnRequest(Message.from_user("hello"), f"conversation-{number}", f"turn-{number}")
    recorder.take(TurnKey("default", turn.conversation_id, turn.turn_id), turn, TARGET)


async def test_all_turns_that_have_settled_are_written_together() -> None:
    log = SlowLog()
    recorder = TurnRecorder(log, now=lambda: NOW, waiting=400, settled_after=timedelta())
    async with asyncio.timeout(10), recorder.running():
        for number in range(400):
            take(recorder, number)
        full = not recorder.has_room
        await log.begins.wait()
        await asyncio.sleep(0)
        assert full
        assert recorder.has_room
        assert len(log.begun) == 400
        log.go_on.set()


async def test_a_turn_that_has_not_settled_waits_and_the_end_waits_for_it() -> None:
    log = SlowLog()
    log.go_on.set()
    recorder = TurnRecorder(log, now=lambda: NOW, settled_after=timedelta(hours=1))
    async with asyncio.timeout(10):
        async with recorder.running():
            take(recorder, 1)
            await asyncio.sleep(0)
            assert not log.begun
        assert log.begun == ["turn-1"]
