"""What an operator decides about the edge."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from lmos_grpc.control_plane import LOCAL_ORIGINS


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeOptions:
    """What the edge lets in, which share of the traces is taken, and how long a router may take for a turn."""

    allowed_origins: tuple[str, ...] = (LOCAL_ORIGINS,)
    sampling: float = 1.0
    router_limit: timedelta = timedelta(milliseconds=300)
