"""Where live sessions wait that one process gives up and another one goes on with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from lmos_grpc.agent_service.session_turn import SessionState


@dataclass(frozen=True, slots=True)
class SessionSnapshot:
    """A session between two processes: what it knows, and its last events from a number on."""

    state: SessionState
    first: int
    frames: tuple[bytes, ...]


class SessionStore(Protocol):
    """Keeps snapshots for a while. Its calls raise StoreUnavailableError where the store cannot be used."""

    async def keep(self, snapshot: SessionSnapshot, until: datetime) -> None:
        """Keeps a snapshot; what was sensitive is not in it."""

    async def claim(self, token: str, tenant: str) -> SessionSnapshot | None:
        """Takes a snapshot out, once for all callers; None where there is none, or its time is over."""
