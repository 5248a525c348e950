"""How the registry's changes reach its store, and come back."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.discovery import open_registry
from lmos_grpc.discovery.registry_writer import RegistryWriter
from lmos_grpc.domain.instance import Heartbeat, Load, SnapshotPart
from lmos_grpc.errors import StoreUnavailableError
from tests.fakes.memory_registry_store import MemoryRegistryStore
from tests.fakes.registrations import TimedRegistry, registration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc.discovery import RegistryChanges, StoredRegistry


class GatedStore(MemoryRegistryStore):
    """A store whose saves wait until they may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.saving = asyncio.Event()
        self.may_save = asyncio.Event()

    async def save(self, changes: RegistryChanges) -> None:
        self.saving.set()
        await self.may_save.wait()
        await super().save(changes)


@asynccontextmanager
async def running(writer: RegistryWriter) -> AsyncIterator[None]:
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(writer.run())
        yield
        task.cancel()


async def stored(store: MemoryRegistryStore) -> StoredRegistry:
    loaded = await store.load()
    assert loaded is not None
    return loaded


async def test_the_first_save_is_whole_and_later_ones_carry_only_changes() -> None:
    timed, store = TimedRegistry(), MemoryRegistryStore()
    timed.register(2)
    writer = RegistryWriter(timed.registry, store)
    await writer.flush()
    timed.registry.deregister("billing-0", 1)
    timed.registry.register(registration("new", "127.0.0.1:9100"))
    await writer.flush()
    first, second = store.saves
    assert (first.whole, [each.instance_id for each in first.puts]) == (True, ["billing-0", "billing-1"])
    assert (second.whole, [each.instance_id for each in second.puts], second.removed_ids) == (
        False, ["new"], ("billing-0",),
    )  # fmt: skip
    assert (await stored(store)).state == timed.registry.state


async def test_changes_during_a_save_are_written_together_afterwards() -> None:
    timed, store = TimedRegistry(), GatedStore()
    writer = RegistryWriter(timed.registry, store)
    async with running(writer):
        timed.registry.register(registration("first", "127.0.0.1:9100"))
        await store.saving.wait()
        leases = timed.register(50)
        for lease in leases[1:]:
            timed.registry.deregister(lease.instance_id, lease.epoch)
        store.may_save.set()
        await store.saved(timed.registry.revision)
    assert len(store.saves) == 2
    assert {each.instance_id for each in (await stored(store)).state.instances} == {"first", "billing-0"}


async def test_a_renewal_writes_nothing() -> None:
    timed, store = TimedRegistry(), MemoryRegistryStore()
    (lease,) = timed.register(1)
    writer = RegistryWriter(timed.registry, store)
    await writer.flush()
    async with running(writer):
        timed.registry.renew(lease.instance_id, lease.epoch, Load(2))
        timed.registry.register(registration("billing-0", "127.0.0.1:9000"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert len(store.saves) == 1


async def test_a_store_that_fails_stops_nobody_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    timed, store = TimedRegistry(), MemoryRegistryStore()
    writer = RegistryWriter(timed.registry, store, retry_delay=timedelta(milliseconds=1))
    await writer.flush()
    store.broken = True
    async with running(writer):
        timed.register(3)
        await store.failed.wait()
        timed.registry.deregister("billing-0", 1)
        with pytest.raises(StoreUnavailableError):
            await writer.flush()
        store.broken = False
        await store.saved(timed.registry.revision)
    assert store.saves[-1].whole
    assert (await stored(store)).state == timed.registry.state
    assert len(caplog.messages) == 1
    assert "goes on in memory: the disk is full" in caplog.messages[0]


async def test_a_save_that_was_cancelled_is_made_up_for() -> None:
    timed, store = TimedRegistry(), GatedStore()
    writer = RegistryWriter(timed.registry, store)
    async with running(writer):
        timed.register(2)
        await store.saving.wait()
    store.may_save.set()
    await writer.flush(clean=True)
    assert (await stored(store)).state == timed.registry.state


async def test_a_clean_restart_keeps_instances_counters_and_watches() -> None:
    store = MemoryRegistryStore()
    async with open_registry(store) as host:
        host.registry.register(registration())
        before = host.registry.state
        token = (await anext(host.registry.watch())).resume_token
    async with open_registry(store) as host:
        assert host.registry.state == before
        assert isinstance((await anext(host.registry.watch(token))).body, Heartbeat)


async def test_after_a_crash_no_revision_and_no_epoch_is_given_twice() -> None:
    store = MemoryRegistryStore()
    async with open_registry(store) as host:
        host.registry.register(registration())
        assert host.writer is not None
        await host.writer.flush()
        # Seen by watchers and agents, but lost with the process.
        lost = host.registry.register(registration("lost", "127.0.0.1:9001"))
        token = (await anext(host.registry.watch())).resume_token
        crashed = MemoryRegistryStore()
        await crashed.save(store.saves[-1])
    async with open_registry(crashed) as host:
        assert [each.instance_id for each in host.registry.instances()] == ["billing-1"]
        assert host.registry.register(registration("lost", "127.0.0.1:9002")).epoch > lost.epoch
        assert isinstance((await anext(host.registry.watch(token))).body, SnapshotPart)


async def test_without_a_store_every_registry_is_another_one() -> None:
    async with open_registry() as one, open_registry() as other:
        assert one.registry.registry_id != other.registry.registry_id


async def test_a_store_that_cannot_be_read_is_told_at_the_start() -> None:
    store = MemoryRegistryStore()
    store.broken = True
    with pytest.raises(StoreUnavailableError):
        async with open_registry(store):
            pass


async def test_a_store_that_fails_at_the_end_is_told_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryRegistryStore()
    async with open_registry(store) as host:
        host.registry.register(registration())
        store.broken = True
    assert "the last changes of the registry are not saved" in caplog.messages[-1]
