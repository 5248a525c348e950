"""The client of the discovery service."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos.discovery.v1 import discovery_service_pb2 as pb
from lmos.discovery.v1.discovery_service_pb2_grpc import DiscoveryServiceStub

from lmos_grpc.domain.instance import DEFAULT_LEASE_TTL, Load
from lmos_grpc.domain.turn import CallContext
from lmos_grpc.errors import DiscoveryUnavailableError
from lmos_grpc.rpc import calling, context_to_metadata
from lmos_grpc.wire.card import card_to_wire
from lmos_grpc.wire.instance import (
    agent_from_wire,
    instance_from_wire,
    lease_from_wire,
    load_to_wire,
    state_to_wire,
    update_from_wire,
)
from lmos_grpc.wire.time import to_duration

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    import grpc.aio
    from lmos.discovery.v1.discovery_service_pb2_grpc import DiscoveryServiceAsyncStub

    from lmos_grpc.domain.card import AgentCard
    from lmos_grpc.domain.instance import Agent, Instance, InstanceState, Lease, RegistryUpdate
    from lmos_grpc.rpc.metadata import Metadata

_CALL_TIME = timedelta(seconds=5)
# Two heartbeats of a watch may be lost.
_SILENCE = timedelta(seconds=25)
_IDLE = Load()


@dataclass(frozen=True, slots=True)
class Match:
    """A capability of an agent that fits, with its score from 0 to 1."""

    agent: Agent
    capability: str
    score: float


class DiscoveryClient:
    """Calls discovery over a channel. Every method raises `LmosError` when the call fails."""

    def __init__(
        self, channel: grpc.aio.Channel, *, timeout: timedelta = _CALL_TIME, longest_silence: timedelta = _SILENCE
    ) -> None:
        # The generated stub serves both kinds of channel; its type knows only one at a time.
        self._stub: DiscoveryServiceAsyncStub = DiscoveryServiceStub(channel)  # type: ignore[assignment]
        self._seconds = timeout.total_seconds()
        self._silence_seconds = longest_silence.total_seconds()

    async def register(
        self, instance_id: str, address: str, card: AgentCard, *, ttl: timedelta = DEFAULT_LEASE_TTL, epoch: int = 0
    ) -> Lease:
        """Registers an instance and gives its lease."""
        request = pb.RegisterRequest(
            instance_id=instance_id, address=address, card=card_to_wire(card), ttl=to_duration(ttl), epoch=epoch
        )
        with calling():
            return lease_from_wire((await self._stub.Register(request, timeout=self._seconds)).lease)

    async def renew(self, lease: Lease, load: Load = _IDLE) -> Lease:
        """Renews a lease."""
        request = pb.RenewRequest(instance_id=lease.instance_id, epoch=lease.epoch, load=load_to_wire(load))
        with calling():
            return lease_from_wire((await self._stub.Renew(request, timeout=self._seconds)).lease)

    async def deregister(self, lease: Lease) -> None:
        """Drops a lease."""
        request = pb.DeregisterRequest(instance_id=lease.instance_id, epoch=lease.epoch)
        with calling():
            await self._stub.Deregister(request, timeout=self._seconds)

    async def update_state(self, lease: Lease, state: InstanceState, load: Load = _IDLE) -> Instance:
        """Tells that an instance is ready, or drains."""
        request = pb.UpdateStateRequest(
            instance_id=lease.instance_id, epoch=lease.epoch, state=state_to_wire(state), load=load_to_wire(load)
        )
        with calling():
            return instance_from_wire((await self._stub.UpdateState(request, timeout=self._seconds)).instance)

    async def get_agent(self, name: str, *, version: str = "", subset: str = "") -> Agent:
        """One agent with its instances."""
        request = pb.GetAgentRequest(name=name, version=version, subset=subset)
        with calling():
            return agent_from_wire((await self._stub.GetAgent(request, timeout=self._seconds)).agent)

    async def list_agents(self, *, tenant: str = "", channel: str = "") -> tuple[Agent, ...]:
        """All agents, over as many pages as it takes. At the edge of a mesh: those of one tenant, without addresses."""
        agents: list[Agent] = []
        token = ""
        while True:
            request = pb.ListAgentsRequest(page_token=token, tenant=tenant, channel=channel)
            with calling():
                page = await self._stub.ListAgents(request, timeout=self._seconds, metadata=_for(tenant))
            agents += (agent_from_wire(each) for each in page.agents)
            token = page.next_page_token
            if not token:
                return tuple(agents)

    async def find(self, *, capability: str = "", text: str = "", tenant: str = "", channel: str = "") -> list[Match]:
        """Capabilities of agents that are ready, best first."""
        request = pb.FindRequest(capability=capability, text=text, tenant=tenant, channel=channel)
        with calling():
            response = await self._stub.Find(request, timeout=self._seconds, metadata=_for(tenant))
        return [Match(agent_from_wire(each.agent), each.capability, each.score) for each in response.matches]

    async def watch(self, resume_token: str = "") -> AsyncGenerator[RegistryUpdate, None]:
        """A snapshot (or what came after the token) and then every change; a `RegistryFeed` of a live view.

        Closing the iterator ends the watch. Silence without even a heartbeat counts as a broken watch: behind a
        proxy the connection can be well while discovery hangs.
        """
        call = self._stub.Watch(pb.WatchRequest(resume_token=resume_token), wait_for_ready=False)
        try:
            with calling():
                responses = aiter(call)
                while (response := await self._next(responses)) is not None:
                    yield update_from_wire(response)
        finally:
            call.cancel()

    async def _next(self, responses: AsyncIterator[pb.WatchResponse]) -> pb.WatchResponse | None:
        try:
            async with asyncio.timeout(self._silence_seconds):
                return await anext(responses, None)
        except TimeoutError as error:
            raise DiscoveryUnavailableError(
                f"discovery sent nothing for {self._silence_seconds:g} s, not even a heartbeat; watch again"
            ) from error


def _for(tenant: str) -> Metadata:
    return context_to_metadata(CallContext(tenant)) if tenant else ()
