"""Delta ADS: tells every Envoy that asks which clusters there are, and keeps telling it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import grpc.aio

from lmos_grpc.control_plane.cluster import cluster_resource, stand_in
from lmos_grpc.control_plane.envoy_messages import (
    ADS_METHOD,
    CLUSTER_TYPE,
    read_request,
    write_response,
)
from lmos_grpc.control_plane.snapshot import Snapshot
from lmos_grpc.control_plane.subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from lmos_grpc.clients.live_view import LiveView
    from lmos_grpc.control_plane.envoy_messages import DeltaRequest
    from lmos_grpc.control_plane.snapshot import BuildCluster
    from lmos_grpc.domain.card import AgentKey
    from lmos_grpc.rpc.typing import Context

_LOG = logging.getLogger(__name__)


def _ignore(*_: object) -> None:
    """What nobody asked to be told."""


class AdsService:
    """`DeltaAggregatedResources` for clusters, by name, from the live view.

    Nothing is answered before the view has seen a whole snapshot, so that a control plane that has just started
    takes nothing away from an Envoy. `on_nack` is called with the name and Envoy's words for each refused resource,
    `on_push` for each update that is sent, and `on_envoys` with the number of Envoys that are connected.
    """

    def __init__(
        self,
        view: LiveView,
        *,
        on_nack: Callable[[str, str], None] = _ignore,
        on_push: Callable[[], None] = _ignore,
        on_envoys: Callable[[int], None] = _ignore,
        build: BuildCluster = cluster_resource,
    ) -> None:
        self._view = view
        self._on_nack = on_nack
        self._on_push = on_push
        self._on_envoys = on_envoys
        self._envoys = 0
        self._snapshot = Snapshot(view.agents, build)

    def add_to_server(self, server: grpc.aio.Server) -> None:
        """Registers the service; by hand, because its messages have no generated stubs."""
        handler = grpc.stream_stream_rpc_method_handler(
            self._stream, request_deserializer=read_request, response_serializer=write_response
        )
        service, method = ADS_METHOD
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))

    async def _stream(self, requests: AsyncIterator[DeltaRequest], context: Context) -> None:
        subscription, news = Subscription(stand_in), asyncio.Event()

        def changed(keys: frozenset[AgentKey]) -> None:
            subscription.mark(key.route for key in keys)
            news.set()

        async def read() -> None:
            async for request in requests:
                self._receive(request, subscription)
                news.set()

        unsubscribe = self._view.subscribe(changed)
        self._count(+1)
        try:
            async with asyncio.TaskGroup() as group:
                reader = group.create_task(read())
                reader.add_done_callback(lambda _: news.set())
                await self._view.wait_synced()
                while not reader.done():
                    for response in subscription.responses(self._snapshot.resource):
                        await context.write(response)
                        self._on_push()
                    await news.wait()
                    news.clear()
        finally:
            self._count(-1)
            unsubscribe()

    def _receive(self, request: DeltaRequest, subscription: Subscription) -> None:
        if request.type_url != CLUSTER_TYPE:
            _LOG.warning("an Envoy asks for %s, which this control plane does not give", request.type_url)
            return
        refusal = subscription.receive(request)
        if refusal is None:
            return
        _LOG.error("Envoy refuses cluster %s, version %s: %s", refusal.name, refusal.version, refusal.message)
        self._on_nack(refusal.name, refusal.message)

    def _count(self, change: int) -> None:
        self._envoys += change
        self._on_envoys(self._envoys)
