"""A real discovery that can be stopped and started again at its port, and notes what agents ask and what changes."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc.aio

from lmos_grpc.discovery import GrpcCardProbe, RegistrationVerifier, Registry, serve_discovery
from lmos_grpc.domain.instance import InstancePut, InstanceRemoved

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from lmos_grpc.domain.instance import Instance, RegistryUpdate

    Handler = grpc.RpcMethodHandler[Any, Any]

_LIMIT_SECONDS = 10


class RecordedDiscovery:
    """Its registry outlives the server, unless the test puts a new one in its place."""

    def __init__(self) -> None:
        self.address = f"127.0.0.1:{_free_port()}"
        self.calls: list[str] = []
        self.changes: list[str] = []
        self._news = asyncio.Event()
        self.registry = self.new_registry()

    def new_registry(self) -> Registry:
        """Forgets all leases."""
        self.registry = Registry()
        self.registry.subscribe(self._note_change)
        return self.registry

    @property
    def instances(self) -> dict[str, Instance]:
        """What is registered, by id."""
        return {each.instance_id: each for each in self.registry.instances()}

    @property
    def only_instance(self) -> Instance:
        """The one that is registered."""
        [instance] = self.registry.instances()
        return instance

    async def until(self, condition: Callable[[], object]) -> None:
        """Returns once a condition on calls, changes or instances holds."""
        async with asyncio.timeout(_LIMIT_SECONDS):
            while not condition():
                self._news.clear()
                await self._news.wait()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serves until the block ends; then it is away."""
        verifier = RegistrationVerifier(self.registry, GrpcCardProbe())
        recorder = _Recorder(self._note_call)
        serving = serve_discovery(
            self.address, self.registry, verifier, interceptors=[recorder], drain=timedelta(seconds=1)
        )
        async with serving:
            yield

    def _note_call(self, method: str) -> None:
        self.calls.append(method)
        self._news.set()

    def _note_change(self, update: RegistryUpdate) -> None:
        match update.body:
            case InstancePut(instance):
                self.changes.append(instance.state.value)
            case InstanceRemoved(_, reason):
                self.changes.append(reason.value)
        self._news.set()


class _Recorder(grpc.aio.ServerInterceptor):
    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = await continuation(handler_call_details)
        self._note(handler_call_details.method.rpartition("/")[2])
        return handler


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
