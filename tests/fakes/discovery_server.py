"""A discovery server on a loopback socket, with agents to register at it."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos.discovery.v1.discovery_service_pb2_grpc import DiscoveryServiceStub

from lmos_grpc.clients.discovery_client import DiscoveryClient
from lmos_grpc.discovery import GrpcCardProbe, RegistrationVerifier, open_registry, serve_discovery
from lmos_grpc.errors import UnreachableError
from lmos_grpc.rpc import open_channel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from lmos.discovery.v1.discovery_service_pb2_grpc import DiscoveryServiceAsyncStub

    from lmos_grpc.clients.live_view import LiveView
    from lmos_grpc.discovery import CardProbe, Registry, RegistrySettings, RegistryStore
    from lmos_grpc.domain.card import AgentCard


class KnownCards:
    """A `CardProbe` that knows who answers where, and counts how often it was asked."""

    def __init__(self, cards: Mapping[str, AgentCard]) -> None:
        self.cards = dict(cards)
        self.asked: list[str] = []

    async def card_at(self, address: str, *, timeout: timedelta) -> AgentCard:  # noqa: ARG002 - the interface has it
        self.asked.append(address)
        if address not in self.cards:
            raise UnreachableError(f"nobody listens at {address}")
        return self.cards[address]


@dataclass(frozen=True, slots=True)
class Discovery:
    """A running discovery, a client of it, and the bare stub for what the client does not let through."""

    registry: Registry
    client: DiscoveryClient
    stub: DiscoveryServiceAsyncStub
    address: str


@asynccontextmanager
async def running_discovery(
    probe: CardProbe | None = None,
    *,
    store: RegistryStore | None = None,
    settings: RegistrySettings | None = None,
    clock: Callable[[], float] = time.monotonic,
    address: str = "127.0.0.1:0",
    answer_time: timedelta = timedelta(seconds=2),
) -> AsyncIterator[Discovery]:
    """Serves discovery; its registry runs until the block ends."""
    async with open_registry(store, settings=settings, clock=clock) as host, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(host.run())
        verifier = RegistrationVerifier(host.registry, probe or GrpcCardProbe(), answer_time=answer_time)
        serving = serve_discovery(address, host.registry, verifier, drain=timedelta(seconds=5))
        async with serving as server, open_channel(server.address) as channel:
            stub: DiscoveryServiceAsyncStub = DiscoveryServiceStub(channel)  # type: ignore[assignment]
            yield Discovery(host.registry, DiscoveryClient(channel), stub, server.address)
        running.cancel()


async def seen(view: LiveView, condition: Callable[[], bool]) -> None:
    """Returns once a condition on the view holds."""
    news = asyncio.Event()
    end = view.subscribe(lambda _keys: news.set())
    while not condition():
        news.clear()
        await news.wait()
    end()
