"""Watching discovery over real sockets, through slow readers, restarts and pauses."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import grpc
import pytest
from lmos.discovery.v1 import discovery_service_pb2 as pb

from lmos_grpc.clients.discovery_client import DiscoveryClient
from lmos_grpc.clients.live_view import LiveView, keep_in_step
from lmos_grpc.discovery import RegistrySettings, SqliteRegistryStore, WatchSettings
from lmos_grpc.domain.instance import Heartbeat, InstancePut, InstanceRemoved, InstanceState, SnapshotPart
from lmos_grpc.errors import DiscoveryUnavailableError, ShuttingDownError, WatchTooSlowError
from lmos_grpc.rpc import calling, open_channel
from tests.fakes.discovery_server import KnownCards, running_discovery, seen
from tests.fakes.registrations import card, registration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lmos_grpc.clients.live_view import RegistryFeed
    from lmos_grpc.discovery import Registry

ADDRESS = "127.0.0.1:9000"
LIMIT = 10.0


@pytest.fixture
def probe() -> KnownCards:
    return KnownCards({ADDRESS: card()})


@asynccontextmanager
async def followed(feed: RegistryFeed, view: LiveView) -> AsyncIterator[None]:
    """Keeps a view in step while the block runs."""
    following = asyncio.create_task(keep_in_step(view, feed))
    try:
        async with asyncio.timeout(LIMIT):
            yield
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


def register_many(registry: Registry, count: int, *, start: int = 0, description: str = "") -> None:
    for number in range(start, start + count):
        of = card(f"agent-{number}", description=description)
        registry.register(registration(f"i-{number}", f"10.0.0.1:{1_000 + number}", of))


async def test_a_watch_gives_a_snapshot_and_every_change(probe: KnownCards) -> None:
    async with running_discovery(probe) as discovery, asyncio.timeout(LIMIT):
        lease = await discovery.client.register("billing-1", ADDRESS, card())
        watch = discovery.client.watch()
        first = await anext(watch)
        await discovery.client.update_state(lease, InstanceState.DRAINING)
        drained = await anext(watch)
        await discovery.client.deregister(lease)
        left = await anext(watch)
        await watch.aclose()
    assert isinstance(first.body, SnapshotPart)
    assert first.body.instances[0].card == card()
    assert isinstance(drained.body, InstancePut)
    assert drained.body.instance.state is InstanceState.DRAINING
    assert isinstance(left.body, InstanceRemoved)
    assert [first.revision, drained.revision, left.revision] == [1, 2, 3]


async def test_a_quiet_watch_gets_heartbeats_over_the_wire() -> None:
    settings = RegistrySettings(WatchSettings(heartbeat=timedelta(milliseconds=5)))
    async with running_discovery(settings=settings) as discovery, asyncio.timeout(LIMIT):
        watch = discovery.client.watch()
        assert [type((await anext(watch)).body) for _ in range(3)] == [SnapshotPart, Heartbeat, Heartbeat]
        await watch.aclose()


async def test_a_slow_reader_is_cut_off_and_resumes_without_a_gap() -> None:
    settings = RegistrySettings(WatchSettings(max_lag=100))
    async with running_discovery(settings=settings) as discovery, asyncio.timeout(LIMIT):
        slow = aiter(discovery.stub.Watch(pb.WatchRequest()))
        assert (await anext(slow)).snapshot.last
        # More than the windows of the connection hold, so that the server has to wait for the reader.
        for number in range(1_000):
            register_many(discovery.registry, 1, start=number, description="x" * 2_000)
            await asyncio.sleep(0)
        revisions = [0]

        async def read_on() -> None:
            with calling():
                async for response in slow:
                    revisions.append(response.revision)  # noqa: PERF401 - what came before the error counts

        with pytest.raises(WatchTooSlowError, match="changes behind") as cut:
            await read_on()
        assert revisions == list(range(len(revisions)))
        assert len(revisions) < 1_000

        token = cut.value.metadata["resume_token"]
        resumed = discovery.client.watch(token)
        missed = [(await anext(resumed)).revision for _ in range(1_000 - len(revisions) + 1)]
        assert missed == list(range(len(revisions), 1_001))
        await resumed.aclose()


async def test_a_server_that_stops_ends_its_watches_at_once() -> None:
    view = LiveView()

    async def watch(client: DiscoveryClient) -> None:
        async for update in client.watch():
            view.apply(update)

    async with asyncio.timeout(LIMIT), AsyncExitStack() as outside:
        async with running_discovery() as discovery:
            channel = await outside.enter_async_context(open_channel(discovery.address))
            watching = asyncio.create_task(watch(DiscoveryClient(channel)))
            await view.wait_synced()
            stops_at = time.monotonic()
        # Less than the time that the server gives to calls that run.
        assert time.monotonic() - stops_at < 3
        with pytest.raises(ShuttingDownError):
            await watching


async def test_a_discovery_that_falls_silent_counts_as_away() -> None:
    settings = RegistrySettings(WatchSettings(heartbeat=timedelta(hours=1)))
    async with running_discovery(settings=settings) as discovery, open_channel(discovery.address) as channel:
        watch = DiscoveryClient(channel, longest_silence=timedelta(milliseconds=50)).watch()
        await anext(watch)
        with pytest.raises(DiscoveryUnavailableError, match=r"sent nothing for 0\.05 s"):
            await anext(watch)


async def test_a_watch_that_is_cancelled_leaves_no_task_behind() -> None:
    async with running_discovery() as discovery, asyncio.timeout(LIMIT):
        before = len(asyncio.all_tasks())
        for _ in range(50):
            call = discovery.stub.Watch(pb.WatchRequest())
            await call.read()
            call.cancel()
            with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
                await call.read()
        await discovery.client.list_agents()
        while len(asyncio.all_tasks()) > before:  # noqa: ASYNC110 - the tasks belong to grpc, which tells nobody
            await asyncio.sleep(0.01)


async def test_a_live_view_follows_over_the_wire(probe: KnownCards) -> None:
    view = LiveView()
    async with running_discovery(probe) as discovery, followed(discovery.client, view):
        lease = await discovery.client.register("billing-1", ADDRESS, card())
        await seen(view, lambda: bool(view.agents_named("billing")))
        await discovery.client.deregister(lease)
        await seen(view, lambda: not view.agents)
        assert view.revision == 2


async def test_a_restart_keeps_everybody_and_a_live_view_never_flaps(probe: KnownCards, tmp_path: Path) -> None:
    view, changes = LiveView(), list[frozenset[object]]()
    path = tmp_path / "registry.db"
    async with AsyncExitStack() as outside:
        async with SqliteRegistryStore.open(path) as store, running_discovery(probe, store=store) as first:
            lease = await first.client.register("billing-1", ADDRESS, card())
            channel = await outside.enter_async_context(open_channel(first.address))
            await outside.enter_async_context(followed(DiscoveryClient(channel), view))
            await view.wait_synced()
            view.subscribe(changes.append)
        assert set(view.agents) == {card().key}

        async with (
            SqliteRegistryStore.open(path) as store,
            running_discovery(probe, store=store, address=first.address) as second,
        ):
            # Channels of one process share what they know of an address: this one may still be backing off.
            renewal = pb.RenewRequest(instance_id=lease.instance_id, epoch=lease.epoch)
            await second.stub.Renew(renewal, wait_for_ready=True, timeout=LIMIT)
            probe.cards["127.0.0.1:9001"] = card("orders")
            await second.client.register("orders-1", "127.0.0.1:9001", card("orders"))
            await seen(view, lambda: bool(view.agents_named("orders")))
    assert changes == [frozenset({card("orders").key})]
