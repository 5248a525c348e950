"""A process that runs turns into a log until it is killed: `python log_writer.py`.

For each line `FILE NAME DURABILITY` on its input it forks a writer, tells its pid, lets it run twenty turns at once
with ids that begin with NAME, and tells "gone" when that has ended. The writer tells each event that the log has
acknowledged.
"""

from __future__ import annotations

import asyncio
import os
import sys
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from lmos_grpc.domain.conversation import ConversationState, Durability, TurnKey
from lmos_grpc.domain.event import Outcome
from tests.fakes.turn_logs import accepted, asks, done, open_keyed_log, says, word

if TYPE_CHECKING:
    from tests.fakes.turn_logs import KeyedLog

TURNS = 20
_EVENTS = 25


def _tell(line: str) -> None:
    os.write(1, f"{line}\n".encode())


async def _converse(log: KeyedLog, place: int, name: str) -> None:
    for turn in count():
        key = TurnKey("de", f"c{place}", f"{name}-{turn}")
        await log.begin(key, asks())
        for sequence in range(1, _EVENTS + 1):
            event = word(sequence, f"{sequence} ", key)
            if sequence == 1:
                event = accepted(key)
            elif sequence == _EVENTS:
                event = done(sequence, key=key)
            await log.append(key, event)
            _tell(f"{key.conversation_id} {key.turn_id} {sequence}")
            await asyncio.sleep(0)  # as between two tokens
        await log.finish(key, Outcome.COMPLETED, (says("x"),), ConversationState("billing"))


async def _write(file: Path, name: str, durability: Durability) -> None:
    async with open_keyed_log(file, durability) as log, asyncio.TaskGroup() as group:
        for place in range(TURNS):
            group.create_task(_converse(log, place, name))


def _main() -> None:
    for line in sys.stdin:
        file, name, durability = line.split()
        pid = os.fork()
        if pid == 0:
            asyncio.run(_write(Path(file), name, Durability(durability)))
            os._exit(0)
        _tell(f"pid {pid}")
        os.waitpid(pid, 0)
        _tell("gone")


if __name__ == "__main__":
    _main()
