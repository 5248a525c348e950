"""The telemetry of a process: one metrics endpoint, and tracing by service."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lmos_grpc.cli.mesh.mesh_settings import split_address
from lmos_grpc.domain.instance import InstanceState
from lmos_grpc.telemetry import Metrics, serve_metrics, start_tracing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from lmos_grpc.clients.live_view import LiveView
    from lmos_grpc.domain.card import AgentKey
    from lmos_grpc.telemetry import Tracing


@dataclass(frozen=True, slots=True)
class TelemetryPart:
    """What every part of a process shares: its metrics, and where its spans go (empty: nowhere)."""

    otlp: str = ""
    record_text: bool = False
    metrics: Metrics = field(default_factory=Metrics)
    sampling: float = 1.0

    def tracing(self, service: str) -> Tracing:
        """The tracing of one service; an async context manager."""
        return start_tracing(
            service,
            endpoint=self.otlp or None,
            instance_id=f"{service}-{os.getpid()}",
            capture_content=self.record_text,
            sampling=self.sampling,
        )

    @asynccontextmanager
    async def metrics_at(self, address: str) -> AsyncIterator[str]:
        """Serves the metrics; gives the address as bound.

        Raises:
            EnvironmentFaultError: the address cannot be bound.
        """
        host, port = split_address(address)
        async with serve_metrics(self.metrics, host, port) as bound:
            yield f"{host}:{bound}"

    @contextmanager
    def counting(self, view: LiveView) -> Iterator[None]:
        """Keeps count of the instances in a live view."""

        def count(_changed: frozenset[AgentKey]) -> None:
            states = [each.state for agent in view.agents.values() for each in agent.instances]
            self.metrics.instances_changed({state.value: states.count(state) for state in InstanceState})

        unsubscribe = view.subscribe(count)
        try:
            yield
        finally:
            unsubscribe()
