"""Discovery as a process: killed, and stopped."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from lmos.discovery.v1 import discovery_service_pb2 as pb
from lmos.discovery.v1.discovery_service_pb2_grpc import DiscoveryServiceStub

from lmos_grpc.clients.discovery_client import DiscoveryClient
from lmos_grpc.clients.live_view import LiveView, keep_in_step
from lmos_grpc.rpc import open_channel
from tests.fakes import discovery_process
from tests.fakes.discovery_server import seen
from tests.fakes.registrations import card

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos.discovery.v1.discovery_service_pb2_grpc import DiscoveryServiceAsyncStub

SCRIPT = Path(discovery_process.__file__)
LIMIT = 20.0


@asynccontextmanager
async def discovery_at(address: str, file: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, SCRIPT, address, file, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield process, (await asyncio.wait_for(process.stdout.readline(), LIMIT)).decode().strip()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def written(file: Path, instance_id: str) -> None:
    """Returns once the registry's file has the instance; registration does not wait for it, and a killer has to."""
    log = Path(f"{file}-wal")
    while not any(instance_id.encode() in each.read_bytes() for each in (log, file) if each.exists()):  # noqa: ASYNC110 # another process writes
        await asyncio.sleep(0)


async def test_a_killed_discovery_comes_back_with_everybody_and_nothing_flaps(tmp_path: Path) -> None:
    view, changes = LiveView(), list[frozenset[object]]()
    file = tmp_path / "registry.db"
    async with (
        asyncio.timeout(LIMIT),
        discovery_at("127.0.0.1:0", file) as (process, address),
        open_channel(address) as channel,
    ):
        client = DiscoveryClient(channel)
        lease = await client.register("billing-1", "10.0.0.1:9000", card(), ttl=timedelta(seconds=30))
        following = asyncio.create_task(keep_in_step(view, client))
        await view.wait_synced()
        view.subscribe(changes.append)
        await written(file, lease.instance_id)
        process.send_signal(signal.SIGKILL)
        await process.wait()

        async with discovery_at(address, file):
            stub: DiscoveryServiceAsyncStub = DiscoveryServiceStub(channel)  # type: ignore[assignment]
            renewal = pb.RenewRequest(instance_id=lease.instance_id, epoch=lease.epoch)
            await stub.Renew(renewal, wait_for_ready=True, timeout=LIMIT)
            other = await client.register("billing-2", "10.0.0.2:9000", card())
            await seen(view, lambda: view.instance("billing-2") is not None)
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
    assert other.epoch > lease.epoch
    assert changes == [frozenset({card().key})]


async def test_a_discovery_that_was_stopped_for_longer_than_a_lease_expires_nobody(tmp_path: Path) -> None:
    async with (
        asyncio.timeout(LIMIT),
        discovery_at("127.0.0.1:0", tmp_path / "registry.db") as (process, address),
        open_channel(address) as channel,
    ):
        client = DiscoveryClient(channel)
        lease = await client.register("billing-1", "10.0.0.1:9000", card(), ttl=timedelta(seconds=2))
        process.send_signal(signal.SIGSTOP)
        # Nothing tells of time that passes in a process that stands still.
        await asyncio.sleep(2.5)
        process.send_signal(signal.SIGCONT)
        assert await client.renew(lease) == lease
