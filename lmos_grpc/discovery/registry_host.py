"""Runs a registry beside its store."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lmos_grpc.discovery.registry import Registry, RegistrySettings
from lmos_grpc.discovery.registry_writer import RegistryWriter
from lmos_grpc.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from lmos_grpc.discovery.registry_store import RegistryState, RegistryStore, StoredRegistry
    from lmos_grpc.domain.instance import RegistryUpdate

_LOG = logging.getLogger(__name__)
# More changes than can happen between the last save and a crash.
_CRASH_GAP = 1_000_000


@dataclass(frozen=True, slots=True)
class RegistryHost:
    """A registry, and the work that goes on behind it."""

    registry: Registry
    writer: RegistryWriter | None = None

    async def run(self) -> None:
        """Lets leases run out and saves changes, for ever; belongs into the owner's task group."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.registry.run())
            if self.writer:
                tasks.create_task(self.writer.run())


@asynccontextmanager
async def open_registry(
    store: RegistryStore | None = None,
    *,
    settings: RegistrySettings | None = None,
    clock: Callable[[], float] = time.monotonic,
    on_change: Callable[[RegistryUpdate], None] | None = None,
) -> AsyncIterator[RegistryHost]:
    """The registry as it was saved, or a new one; at the end what is not yet saved is saved.

    After a restart everybody who held a lease holds a fresh one, so that agents that are alive stay routed, and
    watchers go on with their tokens.

    Raises:
        StoreUnavailableError: the store cannot be read or written at the start.
    """
    stored = await store.load() if store else None
    registry = Registry(_resumed(stored), settings=settings or RegistrySettings(), clock=clock)
    if on_change:
        registry.subscribe(on_change)
    if store is None:
        yield RegistryHost(registry)
        return
    writer = RegistryWriter(registry, store)
    # From here on the store is not clean: a crash has to show as one.
    await writer.flush()
    try:
        yield RegistryHost(registry, writer)
    finally:
        await _save_last(writer)


def _resumed(stored: StoredRegistry | None) -> RegistryState | None:
    if stored is None or stored.clean:
        return stored.state if stored else None
    # The last changes may be lost, but watchers saw their revisions and agents hold their epochs: never reuse them.
    state = stored.state
    return replace(state, revision=state.revision + _CRASH_GAP, last_epoch=state.last_epoch + _CRASH_GAP)


async def _save_last(writer: RegistryWriter) -> None:
    try:
        await writer.flush(clean=True)
    except StoreUnavailableError as error:
        _LOG.warning("the last changes of the registry are not saved: %s", error)
