"""Servers: one place that binds, answers health and reflection, and drains."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from lmos_grpc.errors import EnvironmentFaultError
from lmos_grpc.rpc.error_mapping import ErrorMappingInterceptor
from lmos_grpc.rpc.transport import make_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    import grpc.aio
    from google.protobuf.descriptor_pool import DescriptorPool

DEFAULT_DRAIN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers at `address` (`host:port`, the port as bound)."""

    address: str
    health: health.aio.HealthServicer
    services: tuple[str, ...]

    @property
    def port(self) -> int:
        """The port as bound."""
        return int(self.address.rpartition(":")[2])

    async def set_serving(self, *, serving: bool) -> None:
        """Tells health checks whether to send calls here."""
        state = health_pb2.HealthCheckResponse
        for name in ("", *self.services):
            await self.health.set(name, state.SERVING if serving else state.NOT_SERVING)


@asynccontextmanager
async def serve(
    address: str,
    *,
    register: Callable[[grpc.aio.Server], None],
    services: Sequence[str],
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    drain: timedelta = DEFAULT_DRAIN,
    pool: DescriptorPool | None = None,
) -> AsyncIterator[RunningServer]:
    """Serves at `host:port` (port 0: any free one) until the block ends; calls that run then get `drain` to finish.

    `register` adds the services; `services` are their full names, for health and reflection;
    `pool` has their descriptors, where everybody's pool does not.

    Raises:
        EnvironmentFaultError: the address cannot be bound.
    """
    server = make_server([*interceptors, ErrorMappingInterceptor()], host=address.rpartition(":")[0])
    register(server)
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    named = [*services, health.SERVICE_NAME, reflection.SERVICE_NAME]
    reflection.enable_server_reflection(named, server, pool)
    running = RunningServer(_bind(server, address), servicer, tuple(services))
    await server.start()
    await running.set_serving(serving=True)
    try:
        yield running
    finally:
        await servicer.enter_graceful_shutdown()
        await server.stop(drain.total_seconds())


def _bind(server: grpc.aio.Server, address: str) -> str:
    host, _, wanted = address.rpartition(":")
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise EnvironmentFaultError(
            f"cannot listen on {address}: the port is taken or the address is not this machine's. "
            f"`ss -ltnp 'sport = :{wanted}'` shows who has it; or choose another port.",
            address=address,
        ) from error
    return f"{host}:{port}"
