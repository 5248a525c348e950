"""What every registry store promises, for every store there is."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.discovery import RegistryChanges, RegistryState, SqliteRegistryStore, StoredRegistry
from lmos_grpc.domain.card import Capability
from lmos_grpc.domain.instance import Instance, InstanceState, Lease, Load
from lmos_grpc.errors import EnvironmentFaultError
from tests.fakes.memory_registry_store import MemoryRegistryStore
from tests.fakes.registrations import card

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from lmos_grpc.discovery import RegistryStore

    Reopen = Callable[[], AbstractAsyncContextManager[RegistryStore]]


@pytest.fixture(params=["memory", "sqlite"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Reopen:
    """Opens the same store again and again, as a process does that restarts."""
    memory = MemoryRegistryStore()

    @asynccontextmanager
    async def open_memory() -> AsyncIterator[RegistryStore]:
        yield memory

    return open_memory if request.param == "memory" else lambda: SqliteRegistryStore.open(tmp_path / "registry.db")


def an_instance(instance_id: str, *, epoch: int = 1) -> Instance:
    rich = card(
        capabilities=(Capability("pay", "1.0.0", examples={"de": ("zahlen bitte", "ä")}, tags=("money",)),),
        tenants=frozenset({"acme", "other"}),
        labels={"team": "a"},
    )
    return Instance(
        instance_id,
        "127.0.0.1:9000",
        rich,
        Lease(instance_id, epoch, timedelta(seconds=12.5)),
        InstanceState.DRAINING,
        Load(3, 10),
        datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC),
    )


async def test_a_new_store_holds_nothing(reopen: Reopen) -> None:
    async with reopen() as store:
        assert await store.load() is None


async def test_what_was_saved_comes_back_whole(reopen: Reopen) -> None:
    instances = (an_instance("a"), an_instance("b"))
    async with reopen() as store:
        await store.save(RegistryChanges("r", 7, 3, puts=instances, clean=True))
    async with reopen() as store:
        assert await store.load() == StoredRegistry(RegistryState("r", 7, 3, instances), clean=True)


async def test_changes_add_replace_and_remove(reopen: Reopen) -> None:
    async with reopen() as store:
        await store.save(RegistryChanges("r", 2, 2, puts=(an_instance("a"), an_instance("b"))))
        changed = an_instance("b", epoch=3)
        await store.save(RegistryChanges("r", 5, 3, puts=(changed, an_instance("c")), removed_ids=("a", "unknown")))
    async with reopen() as store:
        loaded = await store.load()
    assert loaded is not None
    assert loaded.state == RegistryState("r", 5, 3, (changed, an_instance("c")))


async def test_a_whole_save_forgets_who_is_not_named(reopen: Reopen) -> None:
    async with reopen() as store:
        await store.save(RegistryChanges("r", 2, 2, puts=(an_instance("a"), an_instance("b"))))
        await store.save(RegistryChanges("r", 3, 3, puts=(an_instance("c"),), whole=True))
        loaded = await store.load()
    assert loaded is not None
    assert loaded.state.instances == (an_instance("c"),)


async def test_a_store_is_clean_only_after_a_clean_save(reopen: Reopen) -> None:
    changes = RegistryChanges("r", 1, 1)
    async with reopen() as store:
        for clean in (False, True, False):
            await store.save(replace(changes, clean=clean))
            loaded = await store.load()
            assert loaded is not None
            assert loaded.clean is clean


async def test_a_thousand_instances_are_saved_at_once(reopen: Reopen) -> None:
    instances = tuple(an_instance(f"i-{number:04}") for number in range(1_000))
    async with reopen() as store:
        await store.save(RegistryChanges("r", 1, 1, puts=instances))
    async with reopen() as store:
        loaded = await store.load()
    assert loaded is not None
    assert loaded.state.instances == instances


@pytest.mark.parametrize("damage", [b"this is no database", b"SQLite format 3\x00" + b"\xff" * 4_096])
async def test_a_damaged_file_is_moved_aside_with_a_warning(
    damage: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "registry.db"
    for attempt in (1, 2):
        path.write_bytes(damage)
        async with SqliteRegistryStore.open(path) as store:
            assert await store.load() is None
            await store.save(RegistryChanges("r", 1, 1))
        assert (tmp_path / f"registry.db.damaged-{attempt}").read_bytes() == damage
    assert len(caplog.messages) == 2
    assert "starts empty" in caplog.messages[0]


async def test_a_file_whose_middle_is_damaged_is_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    async with SqliteRegistryStore.open(path) as store:
        await store.save(RegistryChanges("r", 1, 1, puts=tuple(an_instance(f"i-{number}") for number in range(100))))
    content = bytearray(path.read_bytes())
    content[5_000:20_000] = os.urandom(15_000)
    path.write_bytes(content)
    async with SqliteRegistryStore.open(path) as store:
        assert await store.load() is None
    assert (tmp_path / "registry.db.damaged-1").exists()


async def test_a_file_that_another_process_holds_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    async with SqliteRegistryStore.open(path) as store:
        await store.save(RegistryChanges("r", 1, 1, puts=(an_instance("a"),)))
        with pytest.raises(EnvironmentFaultError, match="another discovery process"):
            async with SqliteRegistryStore.open(path, lock_wait=timedelta(milliseconds=10)):
                pass
        assert await store.load() is not None


async def test_a_path_that_cannot_be_a_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFaultError, match="cannot open"):
        async with SqliteRegistryStore.open(tmp_path):
            pass
