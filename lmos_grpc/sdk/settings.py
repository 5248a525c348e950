"""How an agent is served."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from lmos_grpc.domain.instance import DEFAULT_LEASE_TTL
from lmos_grpc.rpc.deadline import MAX_TURN_TIME
from lmos_grpc.rpc.server import DEFAULT_DRAIN


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """An OpenAI-compatible language model. The key never prints; a local server may need none."""

    name: str
    base_url: str = "https://api.openai.com/v1"
    api_key: str = field(default="", repr=False)
    timeout: timedelta = timedelta(seconds=60)
    retries: int = 2


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """Where an agent listens, which mesh it belongs to, and how it lives and ends there.

    Port 0 takes a free one. `mesh` is Envoy's internal listener, or discovery itself; None serves the agent on its
    own. `advertise` is where the mesh reaches the agent, `host` or `host:port`, if not at `listen`.
    """

    listen: str = "127.0.0.1:0"
    mesh: str | None = "127.0.0.1:8081"
    advertise: str = ""
    insecure_listen: bool = False
    lease_ttl: timedelta = DEFAULT_LEASE_TTL
    drain_timeout: timedelta = DEFAULT_DRAIN
    # So long new turns are still taken after DRAINING was told: whoever sent them had not heard of it yet.
    drain_grace: timedelta = timedelta(milliseconds=250)
    max_turn_time: timedelta = MAX_TURN_TIME
    max_concurrent_turns: int = 0  # 0: no limit
    model: ModelSettings | None = None
    otlp_endpoint: str | None = None  # None: spans are not exported
    record_text: bool = False
