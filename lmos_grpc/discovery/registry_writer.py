"""Writes the registry's changes to its store behind its back, many at once."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.discovery.registry_store import RegistryChanges
from lmos_grpc.domain.instance import InstancePut, InstanceRemoved
from lmos_grpc.errors import StoreUnavailableError

if TYPE_CHECKING:
    from lmos_grpc.discovery.registry import Registry
    from lmos_grpc.discovery.registry_store import RegistryStore
    from lmos_grpc.domain.instance import Instance, RegistryUpdate

_LOG = logging.getLogger(__name__)
_RETRY_DELAY = timedelta(seconds=1)


class RegistryWriter:
    """Saves what changed while the last save was running, of each instance only its last state.

    A store that fails stops nobody: leases and watches go on, and the whole registry is written once it works again.
    """

    def __init__(self, registry: Registry, store: RegistryStore, *, retry_delay: timedelta = _RETRY_DELAY) -> None:
        self._registry = registry
        self._store = store
        self._retry_seconds = retry_delay.total_seconds()
        self._pending: dict[str, Instance | None] = {}
        self._news = asyncio.Event()
        self._whole = True
        self._failing = False
        registry.subscribe(self._note)

    async def run(self) -> None:
        """Saves changes as they come, for ever."""
        while True:
            await self._news.wait()
            try:
                await self.flush()
            except StoreUnavailableError:
                await asyncio.sleep(self._retry_seconds)

    async def flush(self, *, clean: bool = False) -> None:
        """Saves what changed since the last save; `clean` promises that nothing follows.

        Raises:
            StoreUnavailableError: the store failed; the next flush saves the whole registry.
        """
        changes = replace(self._take(), clean=clean)
        saved = False
        try:
            await self._store.save(changes)
            saved = True
        except StoreUnavailableError as error:
            if not self._failing:
                _LOG.warning("the registry is not saved for now, and goes on in memory: %s", error)
            raise
        finally:
            # What a save that failed or was cancelled left behind is unknown: everything is written anew.
            self._failing = self._whole = not saved
            if not saved:
                self._news.set()

    def _take(self) -> RegistryChanges:
        state, pending = self._registry.state, self._pending
        whole, self._whole, self._pending = self._whole, False, {}
        self._news.clear()
        changes = RegistryChanges(state.registry_id, state.revision, state.last_epoch)
        if whole:
            return replace(changes, puts=state.instances, whole=True)
        puts = tuple(each for each in pending.values() if each is not None)
        return replace(changes, puts=puts, removed_ids=tuple(key for key, each in pending.items() if each is None))

    def _note(self, update: RegistryUpdate) -> None:
        match update.body:
            case InstancePut(instance):
                self._remember(instance.instance_id, instance)
            case InstanceRemoved(instance_id):
                self._remember(instance_id, None)

    def _remember(self, instance_id: str, instance: Instance | None) -> None:
        self._news.set()
        if not self._whole:
            self._pending[instance_id] = instance
