"""A registry store that keeps everything in memory, and fails when it is told to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lmos_grpc.discovery import RegistryState, StoredRegistry
from lmos_grpc.errors import StoreUnavailableError

if TYPE_CHECKING:
    from lmos_grpc.discovery import RegistryChanges


class MemoryRegistryStore:
    """A `RegistryStore`; `broken` makes every call fail."""

    def __init__(self) -> None:
        self.broken = False
        self.saves: list[RegistryChanges] = []
        self.failed = asyncio.Event()
        self._news = asyncio.Event()
        self._stored: StoredRegistry | None = None

    async def load(self) -> StoredRegistry | None:
        self._require_whole()
        return self._stored

    async def save(self, changes: RegistryChanges) -> None:
        self._require_whole()
        self.saves.append(changes)
        before = self._stored.state.instances if self._stored and not changes.whole else ()
        instances = {each.instance_id: each for each in before}
        for instance_id in changes.removed_ids:
            instances.pop(instance_id, None)
        instances.update((each.instance_id, each) for each in changes.puts)
        ordered = tuple(instances[key] for key in sorted(instances))
        state = RegistryState(changes.registry_id, changes.revision, changes.last_epoch, ordered)
        self._stored = StoredRegistry(state, clean=changes.clean)
        self._news.set()

    async def saved(self, revision: int) -> None:
        """Returns once the revision was saved."""
        while not self.saves or self.saves[-1].revision < revision:
            self._news.clear()
            await self._news.wait()

    def _require_whole(self) -> None:
        if self.broken:
            self.failed.set()
            raise StoreUnavailableError("the disk is full")
