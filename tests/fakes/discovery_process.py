"""Discovery as a process of its own, so that a test can kill or stop it: `python discovery_process.py ADDRESS FILE`.

It prints its address when it answers, and takes every registration without asking the agent.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lmos_grpc.discovery import RegistrationVerifier, SqliteRegistryStore, open_registry, serve_discovery
from lmos_grpc.domain.card import AgentCard

if TYPE_CHECKING:
    from datetime import timedelta


class _Believer:
    async def card_at(self, address: str, *, timeout: timedelta) -> AgentCard:  # noqa: ARG002 - the interface has them
        return AgentCard("billing", "1.0.0")


async def _main(address: str, file: Path) -> None:
    async with SqliteRegistryStore.open(file) as store, open_registry(store) as host, asyncio.TaskGroup() as tasks:
        tasks.create_task(host.run())
        verifier = RegistrationVerifier(host.registry, _Believer())
        async with serve_discovery(address, host.registry, verifier) as server:
            sys.stdout.write(f"{server.address}\n")
            sys.stdout.flush()
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], Path(sys.argv[2])))
