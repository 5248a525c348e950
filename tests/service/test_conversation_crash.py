"""The log of conversations survives the death of its process at any moment."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lmos_grpc.domain.conversation import Durability, TurnKey
from lmos_grpc.domain.event import Accepted, Failure, Outcome, TextDelta, TurnDone
from lmos_grpc.domain.failure import Reason
from lmos_grpc.errors import TurnNotFoundError
from tests.fakes.turn_logs import asks, follow, numbers, open_keyed_log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc.domain.conversation import TurnRecord
    from tests.fakes.turn_logs import KeyedLog

ROOT = Path(__file__).parents[2]
DEATHS = 40
LIMIT = 60.0


@asynccontextmanager
async def forking_writer() -> AsyncIterator[asyncio.subprocess.Process]:
    writer = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.fakes.log_writer",
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield writer
    finally:
        assert writer.stdin
        writer.stdin.close()
        await writer.wait()


async def killed_after(
    writer: asyncio.subprocess.Process,
    file: Path,
    name: str,
    events: int,
    durability: Durability = Durability.BEFORE_SHOWN,
) -> dict[TurnKey, int]:
    """Kills a writer when the log has acknowledged so many events; the last acknowledged number of each turn."""
    assert writer.stdin
    assert writer.stdout
    writer.stdin.write(f"{file} {name} {durability.value}\n".encode())
    pid = int((await writer.stdout.readline()).split()[1])
    acknowledged: dict[TurnKey, int] = {}
    count = 0
    while (line := (await writer.stdout.readline()).decode().split()) != ["gone"]:
        conversation, turn, sequence = line
        acknowledged[TurnKey("de", conversation, turn)] = int(sequence)
        count += 1
        if count == events:
            os.kill(pid, signal.SIGKILL)
    assert count >= events
    return acknowledged


async def check_turn(log: KeyedLog, key: TurnKey, acknowledged: int) -> None:
    events = await follow(log, key)
    assert numbers(events) == list(range(1, len(events) + 1)), "an event is lost or doubled"
    assert len(events) >= acknowledged, "an acknowledged event is lost"
    assert events[0].body == Accepted(key.conversation_id)
    last = events[-1].body
    assert isinstance(last, TurnDone)
    words = events[1:-1]
    if last.outcome is Outcome.FAILED:
        *words, error = words
        assert isinstance(error.body, Failure)
        assert error.body.detail.reason is Reason.AGENT_STREAM_BROKEN
    assert [event.body for event in words] == [TextDelta(f"{event.sequence} ") for event in words]


async def test_no_acknowledged_event_is_lost_or_doubled_when_the_process_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "conversations.db"
    chance = random.Random(7)  # noqa: S311 # moments to kill at, not secrets
    async with asyncio.timeout(LIMIT), forking_writer() as writer:
        for death in range(DEATHS):
            acknowledged = await killed_after(writer, file, str(death), chance.randrange(1, 1_500))
            async with open_keyed_log(file) as log:
                for key, sequence in acknowledged.items():
                    await check_turn(log, key, sequence)
                await check_list(log, acknowledged)


async def test_a_turn_that_was_not_durable_is_there_from_its_beginning_or_never_was(tmp_path: Path) -> None:
    file = tmp_path / "conversations.db"
    kept = 0
    async with asyncio.timeout(LIMIT), forking_writer() as writer:
        for death in range(2):
            # Enough for several looks at what waits: of the first turns something is on the disk.
            seen = await killed_after(writer, file, str(death), 20_000, Durability.BEHIND)
            async with open_keyed_log(file) as log:
                for key in seen:
                    with suppress(TurnNotFoundError):
                        await check_turn(log, key, 1)
                        kept += 1
                        continue
                    assert (await log.begin(key, asks())).is_new
    assert kept


async def check_list(log: KeyedLog, acknowledged: dict[TurnKey, int]) -> None:
    for conversation in {key.conversation_id for key in acknowledged}:
        listed: list[TurnRecord] = []
        token = ""
        while not listed or token:
            page = await log.list_turns("de", conversation, 100, token)
            listed += page.turns
            token = page.next_page_token
        assert all(turn.outcome is not None for turn in listed)
        assert len({turn.key for turn in listed}) == len(listed)
        assert {turn.key for turn in listed} >= {key for key in acknowledged if key.conversation_id == conversation}
