"""Watching the registry in process."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.clients.live_view import LiveView, keep_in_step
from lmos_grpc.discovery import RegistrySettings, RegistryState, WatchSettings
from lmos_grpc.domain.instance import (
    Heartbeat,
    InstancePut,
    InstanceRemoved,
    InstanceState,
    RegistryUpdate,
    RemovalReason,
    SnapshotPart,
)
from lmos_grpc.errors import ShuttingDownError, WatchTooSlowError
from tests.fakes.registrations import TimedRegistry, card, registration

if TYPE_CHECKING:
    from lmos_grpc.discovery import Watch

LIMIT = 5.0


async def take(watch: Watch, count: int) -> list[RegistryUpdate]:
    async with asyncio.timeout(LIMIT):
        return [await anext(watch) for _ in range(count)]


async def test_a_watch_begins_with_a_snapshot_and_goes_on_with_every_change() -> None:
    timed = TimedRegistry(RegistryState("r"))
    registry = timed.registry
    lease = registry.register(registration())
    watch = registry.watch()
    registry.update_state("billing-1", lease.epoch, InstanceState.DRAINING)
    registry.deregister("billing-1", lease.epoch)
    registry.register(registration())
    timed.pass_time(11)

    snapshot, drained, left, back, expired = await take(watch, 5)
    assert isinstance(snapshot.body, SnapshotPart)
    assert [each.instance_id for each in snapshot.body.instances] == ["billing-1"]
    assert isinstance(drained.body, InstancePut)
    assert drained.body.instance.state is InstanceState.DRAINING
    assert left.body == InstanceRemoved("billing-1", RemovalReason.DEREGISTERED)
    assert isinstance(back.body, InstancePut)
    assert expired.body == InstanceRemoved("billing-1", RemovalReason.EXPIRED)
    assert [each.revision for each in (snapshot, drained, left, back, expired)] == [1, 2, 3, 4, 5]
    assert expired.resume_token.endswith(":5")


async def test_an_empty_registry_gives_one_empty_part() -> None:
    (part,) = await take(TimedRegistry().registry.watch(), 1)
    assert part.body == SnapshotPart((), first=True, last=True)


async def test_a_large_snapshot_comes_in_parts_and_only_the_last_has_a_token() -> None:
    timed = TimedRegistry()
    timed.register(1_001)
    parts = await take(timed.registry.watch(), 3)
    bodies = [part.body for part in parts]
    assert all(isinstance(body, SnapshotPart) for body in bodies)
    assert [len(body.instances) for body in bodies if isinstance(body, SnapshotPart)] == [500, 500, 1]
    assert [body.first for body in bodies if isinstance(body, SnapshotPart)] == [True, False, False]
    assert [body.last for body in bodies if isinstance(body, SnapshotPart)] == [False, False, True]
    assert [bool(part.resume_token) for part in parts] == [False, False, True]


async def test_a_watch_that_comes_back_gets_what_it_missed_and_no_snapshot() -> None:
    registry = TimedRegistry().registry
    registry.register(registration())
    (snapshot,) = await take(registry.watch(), 1)
    registry.register(registration("billing-2", "127.0.0.1:9001"))
    (missed,) = await take(registry.watch(snapshot.resume_token), 1)
    assert isinstance(missed.body, InstancePut)
    assert missed.body.instance.instance_id == "billing-2"


async def test_a_watch_that_comes_back_and_missed_nothing_hears_so_at_once() -> None:
    registry = TimedRegistry().registry
    (snapshot,) = await take(registry.watch(), 1)
    (alive,) = await take(registry.watch(snapshot.resume_token), 1)
    assert alive == RegistryUpdate(0, snapshot.resume_token, Heartbeat())


@pytest.mark.parametrize(
    "token", ["", "garbage", "other:0", "r:", "r:-1", "r:1000", "r:²", "r:" + "9" * 5_000, ":", "r"]
)
async def test_a_token_that_does_not_help_gives_a_snapshot(token: str) -> None:
    registry = TimedRegistry(RegistryState("r")).registry
    registry.register(registration())
    (update,) = await take(registry.watch(token), 1)
    assert isinstance(update.body, SnapshotPart)


async def test_a_token_older_than_the_log_gives_a_snapshot() -> None:
    timed = TimedRegistry(RegistryState("r"), RegistrySettings(log_capacity=3))
    timed.register(5)
    (update,) = await take(timed.registry.watch("r:1"), 1)
    assert isinstance(update.body, SnapshotPart)
    (update,) = await take(timed.registry.watch("r:2"), 1)
    assert isinstance(update.body, InstancePut)


async def test_a_quiet_watch_gets_heartbeats() -> None:
    settings = RegistrySettings(WatchSettings(heartbeat=timedelta(milliseconds=1)))
    watch = TimedRegistry(settings=settings).registry.watch()
    updates = await take(watch, 4)
    assert [type(each.body) for each in updates] == [SnapshotPart, Heartbeat, Heartbeat, Heartbeat]


async def test_a_waiting_watch_wakes_at_a_change() -> None:
    registry = TimedRegistry().registry
    watch = registry.watch()
    await take(watch, 1)
    waiting = asyncio.ensure_future(take(watch, 1))
    await asyncio.sleep(0)
    registry.register(registration())
    assert isinstance((await waiting)[0].body, InstancePut)


async def test_a_slow_watch_is_cut_off_and_goes_on_without_a_gap() -> None:
    settings = RegistrySettings(WatchSettings(max_lag=10))
    timed = TimedRegistry(settings=settings)
    slow = timed.registry.watch()
    await take(slow, 1)
    timed.register(11)
    with pytest.raises(WatchTooSlowError, match="11 changes behind") as cut:
        await take(slow, 1)

    resumed = await take(timed.registry.watch(cut.value.metadata["resume_token"]), 11)
    assert [each.revision for each in resumed] == list(range(1, 12))


async def test_a_watch_that_fell_behind_the_log_itself_is_cut_off_too() -> None:
    timed = TimedRegistry(settings=RegistrySettings(log_capacity=5))
    slow = timed.registry.watch()
    await take(slow, 1)
    timed.register(6)
    with pytest.raises(WatchTooSlowError) as cut:
        await take(slow, 1)
    (snapshot,) = await take(timed.registry.watch(cut.value.metadata["resume_token"]), 1)
    assert isinstance(snapshot.body, SnapshotPart)


async def test_a_slow_watch_does_not_hold_up_the_others() -> None:
    timed = TimedRegistry(settings=RegistrySettings(WatchSettings(max_lag=10)))
    _slow, quick = timed.registry.watch(), timed.registry.watch()
    await take(quick, 1)
    for number in range(20):
        timed.registry.register(registration(f"i-{number}", f"127.0.0.1:{9_000 + number}"))
        await take(quick, 1)


async def test_a_watch_that_is_ended_says_so() -> None:
    registry = TimedRegistry().registry
    watch = registry.watch()
    await take(watch, 1)
    waiting = asyncio.ensure_future(take(watch, 1))
    await asyncio.sleep(0)
    watch.end()
    with pytest.raises(ShuttingDownError):
        await waiting


async def test_ten_watchers_follow_five_thousand_registrations() -> None:
    timed = TimedRegistry()
    watches = [timed.registry.watch() for _ in range(10)]

    async def follow(watch: Watch) -> int:
        async for update in watch:
            if update.revision == 5_000:
                return update.revision
        return 0

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        following = [tasks.create_task(follow(watch)) for watch in watches]
        for number in range(5_000):
            of = card(f"agent-{number % 500}")
            timed.registry.register(registration(f"i-{number}", f"10.0.0.1:{1_000 + number}", of))
            if number % 100 == 0:
                await asyncio.sleep(0)
    assert [task.result() for task in following] == [5_000] * 10


async def test_a_live_view_follows_the_registry_in_process() -> None:
    registry = TimedRegistry().registry
    view = LiveView()
    async with asyncio.timeout(LIMIT):
        following = asyncio.create_task(keep_in_step(view, registry))
        await view.wait_synced()
        changed = asyncio.Event()
        view.subscribe(lambda _keys: changed.set())
        registry.register(registration())
        await changed.wait()
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
    assert view.revision == 1
    assert [key.route for key in view.agents] == ["billing/1.0.0/stable"]
