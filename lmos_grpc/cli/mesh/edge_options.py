"""What an operator decides about the edge."""

from __future__ import annotations

from dataclasses import dataclass

from lmos_grpc.control_plane import LOCAL_ORIGINS


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeOptions:
    """What the edge lets in, and which share of the traces is taken."""

    allowed_origins: tuple[str, ...] = (LOCAL_ORIGINS,)
    sampling: float = 1.0
