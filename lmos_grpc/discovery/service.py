"""The handlers of lmos.discovery.v1.DiscoveryService."""

from __future__ import annotations

import itertools
import weakref
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from lmos.discovery.v1 import discovery_service_pb2 as pb
from lmos.discovery.v1.discovery_service_pb2_grpc import (
    DiscoveryServiceServicer,
    add_DiscoveryServiceServicer_to_server,
)

from lmos_grpc.discovery.catalogue import Audience
from lmos_grpc.discovery.outsider import Outsider, OutsidersWatch
from lmos_grpc.discovery.registration import check_instance_id
from lmos_grpc.discovery.wire import (
    matches_to_wire,
    new_state_from_wire,
    page_to_wire,
    registration_from_wire,
    update_to_messages,
    wanted_from_wire,
)
from lmos_grpc.rpc import child_timeout, serve, time_left
from lmos_grpc.rpc.server import DEFAULT_DRAIN
from lmos_grpc.wire.instance import agent_to_wire, instance_to_wire, lease_to_wire, load_from_wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import timedelta

    import grpc.aio

    from lmos_grpc.discovery.registry import Registry
    from lmos_grpc.discovery.verifier import RegistrationVerifier
    from lmos_grpc.discovery.watch import Watch
    from lmos_grpc.rpc import RunningServer
    from lmos_grpc.rpc.typing import Context

DISCOVERY_SERVICE = pb.DESCRIPTOR.services_by_name["DiscoveryService"].full_name


class DiscoveryHandlers(DiscoveryServiceServicer):
    """Reads requests, asks the registry, writes answers."""

    def __init__(self, registry: Registry, verifier: RegistrationVerifier) -> None:
        self._registry = registry
        self._verifier = verifier
        self._watches: weakref.WeakSet[Watch] = weakref.WeakSet()

    async def Register(self, request: pb.RegisterRequest, context: Context) -> pb.RegisterResponse:
        registration = registration_from_wire(request)
        await self._verifier.verify(registration, time_left=child_timeout(time_left(context)))
        return pb.RegisterResponse(lease=lease_to_wire(self._registry.register(registration)))

    async def Renew(self, request: pb.RenewRequest, context: Context) -> pb.RenewResponse:
        check_instance_id(request.instance_id)
        lease = self._registry.renew(request.instance_id, request.epoch, load_from_wire(request.load))
        return pb.RenewResponse(lease=lease_to_wire(lease))

    async def Deregister(self, request: pb.DeregisterRequest, context: Context) -> pb.DeregisterResponse:
        check_instance_id(request.instance_id)
        self._registry.deregister(request.instance_id, request.epoch)
        return pb.DeregisterResponse()

    async def UpdateState(self, request: pb.UpdateStateRequest, context: Context) -> pb.UpdateStateResponse:
        check_instance_id(request.instance_id)
        state, load = new_state_from_wire(request), load_from_wire(request.load)
        instance = self._registry.update_state(request.instance_id, request.epoch, state, load)
        return pb.UpdateStateResponse(instance=instance_to_wire(instance))

    async def GetAgent(self, request: pb.GetAgentRequest, context: Context) -> pb.GetAgentResponse:
        outsider = Outsider.from_metadata(context.invocation_metadata())
        agent = self._registry.catalogue.agent(
            request.name,
            version=request.version,
            subset=request.subset,
            audience=outsider.audience if outsider else Audience(),
        )
        return pb.GetAgentResponse(agent=agent_to_wire(outsider.agent(agent) if outsider else agent))

    async def ListAgents(self, request: pb.ListAgentsRequest, context: Context) -> pb.ListAgentsResponse:
        catalogue, audience = self._registry.catalogue, Audience(request.tenant, request.channel)
        agents = catalogue.agents_after(request.page_token, audience)
        if outsider := Outsider.from_metadata(context.invocation_metadata()):
            agents = outsider.agents(agents)
        return page_to_wire(agents, request.page_size, lambda last: catalogue.page_token(last, audience))

    async def Find(self, request: pb.FindRequest, context: Context) -> pb.FindResponse:
        wanted, limit = wanted_from_wire(request)
        matches = iter(self._registry.catalogue.find(wanted))
        if outsider := Outsider.from_metadata(context.invocation_metadata()):
            matches = outsider.matches(matches)
        return matches_to_wire(itertools.islice(matches, limit))

    async def Watch(self, request: pb.WatchRequest, context: Context) -> AsyncIterator[pb.WatchResponse]:
        outsider = Outsider.from_metadata(context.invocation_metadata())
        # An outsider always begins with a snapshot: of what it was told before, nobody knows any more what it may know.
        watch = self._registry.watch("" if outsider else request.resume_token)
        self._watches.add(watch)
        told = OutsidersWatch(outsider) if outsider else None
        async for update in watch:
            # Each message waits until the one before is with the transport: a slow reader costs no memory here.
            for message in update_to_messages(told.update(update) if told else update):
                yield message

    def end_watches(self) -> None:
        """Ends all streams of Watch with UNAVAILABLE; without it a server that stops would wait for them."""
        for watch in tuple(self._watches):
            watch.end()


def add_discovery_service(
    server: grpc.aio.Server, registry: Registry, verifier: RegistrationVerifier
) -> DiscoveryHandlers:
    """Adds DiscoveryService to a server."""
    handlers = DiscoveryHandlers(registry, verifier)
    add_DiscoveryServiceServicer_to_server(handlers, server)
    return handlers


@asynccontextmanager
async def serve_discovery(
    address: str,
    registry: Registry,
    verifier: RegistrationVerifier,
    *,
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    drain: timedelta = DEFAULT_DRAIN,
) -> AsyncIterator[RunningServer]:
    """Serves DiscoveryService at `host:port` until the block ends, and then ends the watches before it drains.

    Raises:
        EnvironmentFaultError: the address cannot be bound.
    """
    handlers = DiscoveryHandlers(registry, verifier)

    def register(server: grpc.aio.Server) -> None:
        add_DiscoveryServiceServicer_to_server(handlers, server)

    async with serve(
        address, register=register, services=[DISCOVERY_SERVICE], interceptors=interceptors, drain=drain
    ) as running:
        try:
            yield running
        finally:
            handlers.end_watches()
