"""The command line as a caller of the mesh: one traced channel to its edge."""

from __future__ import annotations

import os
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmos_grpc.cli.mesh.whereabouts import find_mesh, read_note
from lmos_grpc.clients.agent_client import AgentClient
from lmos_grpc.clients.discovery_client import DiscoveryClient
from lmos_grpc.clients.orchestrator_client import OrchestratorClient
from lmos_grpc.control_plane.endpoint import split_address
from lmos_grpc.domain.turn import CallContext, Message, TurnRequest, User
from lmos_grpc.errors import InvalidConfigurationError, UnreachableError
from lmos_grpc.rpc import open_channel
from lmos_grpc.telemetry import client_interceptors, start_tracing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from opentelemetry.trace import Tracer

    from lmos_grpc.cli.settings import CallerSection, Settings


@dataclass(frozen=True, slots=True)
class Caller:
    """Clients of the mesh's services, all over one channel to its edge."""

    edge: str
    agent: AgentClient
    discovery: DiscoveryClient
    orchestrator: OrchestratorClient
    tracer: Tracer
    section: CallerSection

    def turn(self, text: str, *, conversation_id: str = "") -> TurnRequest:
        """A turn with this text, for whom the settings say."""
        return TurnRequest(
            message=Message.from_user(text),
            conversation_id=conversation_id or new_id("c"),
            turn_id=new_id("t"),
            user=User(locale=self.section.locale),
            context=CallContext(tenant=self.section.tenant, channel=self.section.channel),
        )


@asynccontextmanager
async def call_mesh(settings: Settings, *, inside: bool = False) -> AsyncIterator[Caller]:
    """Opens the channel; what fails inside because nobody listens says so and how to mend it.

    `inside` takes the internal listener where the mesh runs on this machine: the edge does not tell all.

    Raises:
        InvalidConfigurationError: the edge is no address.
        UnreachableError: no mesh answers there.
    """
    mesh = find_mesh(settings)
    if split_address(mesh.edge) is None:
        raise InvalidConfigurationError(f"the edge is {mesh.edge!r}: say HOST:PORT, such as 127.0.0.1:8080")
    address = mesh.internal if inside and mesh.edge == _edge_here(settings) else mesh.edge
    tracing = start_tracing("lmos-cli", endpoint=mesh.otlp or None, instance_id=f"cli-{os.getpid()}")
    async with (
        tracing,
        open_channel(address, interceptors=client_interceptors(tracing.tracer, address=address)) as channel,
    ):
        try:
            yield Caller(
                mesh.edge,
                AgentClient(channel),
                DiscoveryClient(channel),
                OrchestratorClient(channel),
                tracing.tracer,
                settings.caller,
            )
        except UnreachableError as error:
            raise explained(error, mesh.edge) from error


def _edge_here(settings: Settings) -> str | None:
    noted = read_note(settings.mesh.state)
    return noted.edge if noted else None


def new_id(prefix: str) -> str:
    """A fresh identifier, short enough to be typed."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def explained(error: UnreachableError, edge: str) -> UnreachableError:
    """The error, and how to mend it where nobody listens."""
    # gRPC's own words for it name sockets and error numbers; Envoy's are written by us and stay.
    if "connect" not in error.message.lower() or "cannot be reached" in error.message:
        return error
    return UnreachableError(
        f"no mesh answers at {edge}: start one with `lmos up`, or say where it is with --edge HOST:PORT", address=edge
    )
