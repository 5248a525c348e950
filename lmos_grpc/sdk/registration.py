"""Keeps an agent known to discovery: registers it, renews its lease, and drops the lease at the end.

The rules, whatever discovery answers:
* It is away, or refuses: the agent goes on serving and asks again after a growing pause; one line in the log says so.
* The lease is not known any more (LEASE_NOT_FOUND): the agent registers anew, as the same instance.
* The instance id is somebody else's (STALE_EPOCH, DUPLICATE_INSTANCE): an id is never fought for. This process is
  alive and answers, so it registers as another instance, and the successor is left alone.
* A lease that is lost while draining is not taken anew.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from lmos_grpc.domain.instance import InstanceState
from lmos_grpc.errors import DuplicateInstanceError, LeaseNotFoundError, LmosError, StaleEpochError
from lmos_grpc.sdk.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import timedelta

    from lmos_grpc.clients.discovery_client import DiscoveryClient
    from lmos_grpc.domain.card import AgentCard
    from lmos_grpc.domain.failure import Reason
    from lmos_grpc.domain.instance import Lease, Load

_LOG = logging.getLogger(__name__)
# Two renewals in a row may be lost.
_RENEWALS_PER_LEASE = 3


def random_instance_id(agent: str) -> str:
    """An id that no other process makes, and that tells a reader whose it is."""
    return f"{agent}-{uuid.uuid4().hex[:12]}"


class Registration:
    """The place of one serving process in the registry."""

    def __init__(
        self,
        client: DiscoveryClient,
        card: AgentCard,
        *,
        ttl: timedelta,
        load: Callable[[], Load],
        new_id: Callable[[str], str] = random_instance_id,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._card = card
        self._ttl = ttl
        self._load = load
        self._new_id = new_id
        self._backoff = Backoff(jitter)
        self._address = ""
        self._lease: Lease | None = None
        self._epoch = 0
        self._trouble: Reason | None = None
        self._announced = asyncio.Event()
        self._registered = asyncio.Event()
        self._draining = False
        # What is told to discovery is told one after the other: a late registration must not undo DRAINING.
        self._talking = asyncio.Lock()
        self.instance_id = new_id(card.name)

    async def wait_registered(self) -> None:
        """Returns once discovery has given a lease for the first time."""
        await self._registered.wait()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Holds the lease while the block runs, from `announced` on, and drops it at the end."""
        # In a group: an agent whose renewals fail in a way that nobody foresaw must end, and not serve on unseen.
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(self._keep())
            try:
                yield
            finally:
                keeping.cancel()
                await asyncio.wait((keeping,))
                await self._drop()

    @asynccontextmanager
    async def announced(self, address: str, *, grace: timedelta) -> AsyncIterator[None]:
        """Registers the address as ready, and tells at the end of the block that it drains.

        It ends `grace` later, when those who send turns have heard of it.
        """
        self._address = address
        self._announced.set()
        try:
            yield
        finally:
            if await self._tell_draining():
                await asyncio.sleep(grace.total_seconds())

    async def _keep(self) -> None:
        await self._announced.wait()
        while True:
            async with self._talking:
                pause = await self._step()
            await asyncio.sleep(pause.total_seconds())

    async def _step(self) -> timedelta:
        """Renews, or registers, and gives the pause after it."""
        try:
            lease = await self._renewed()
        except LmosError as error:
            self._take(error)
            return self._backoff.next()
        self._backoff.reset()
        return (lease.ttl if lease else self._ttl) / _RENEWALS_PER_LEASE

    async def _renewed(self) -> Lease | None:
        if self._lease is not None:
            self._lease = await self._client.renew(self._lease, self._load())
            if self._trouble is not None:
                _LOG.info("discovery answers again: %s is still registered", self.instance_id)
        elif not self._draining:
            self._lease = await self._client.register(
                self.instance_id, self._address, self._card, ttl=self._ttl, epoch=self._epoch
            )
            self._epoch = self._lease.epoch
            self._registered.set()
            _LOG.info("registered %s at %s as %s", self._card.name, self._address, self.instance_id)
        self._trouble = None
        return self._lease

    def _take(self, error: LmosError) -> None:
        match error:
            case StaleEpochError() | DuplicateInstanceError():
                self._lease, self._epoch = None, 0
                before, self.instance_id = self.instance_id, self._new_id(self._card.name)
                _LOG.warning("%s belongs to another process; going on as %s", before, self.instance_id)
            case LeaseNotFoundError():
                self._lease = None
                _LOG.info("discovery does not know the lease of %s any more; registering anew", self.instance_id)
            case _ if error.detail.reason is not self._trouble:
                self._trouble = error.detail.reason
                known = "keep the lease of" if self._lease else "register"
                _LOG.warning("cannot %s %s: %s. It serves on, and tries again.", known, self.instance_id, error)

    async def _tell_draining(self) -> bool:
        self._draining = True
        async with self._talking:
            if self._lease is None:
                return False
            try:
                await self._client.update_state(self._lease, InstanceState.DRAINING, self._load())
            except LmosError as error:
                _LOG.warning("cannot tell discovery that %s drains: %s", self.instance_id, error)
                return False
        return True

    async def _drop(self) -> None:
        if self._lease is None:
            return
        try:
            await self._client.deregister(self._lease)
        except LmosError as error:
            _LOG.warning("cannot drop the lease of %s, it runs out by itself: %s", self.instance_id, error)
