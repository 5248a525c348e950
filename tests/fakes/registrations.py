"""Registrations as agents send them, and a registry whose time the test moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from lmos_grpc.discovery import Registration, Registry, RegistrySettings
from lmos_grpc.domain.card import AgentCard, Capability
from tests.fakes.hand_clock import HandClock

if TYPE_CHECKING:
    from lmos_grpc.discovery import RegistryState
    from lmos_grpc.domain.instance import Lease

TTL = timedelta(seconds=10)
_TICK_SECONDS = 0.5
START = datetime(2026, 1, 1, tzinfo=UTC)


def card(name: str = "billing", version: str = "1.0.0", **more: object) -> AgentCard:
    """A card with one capability, unless `capabilities` says otherwise."""
    more.setdefault("capabilities", (Capability("explain-bill", "1.0.0", "Explains invoices"),))
    return AgentCard(name, version, **more)  # type: ignore[arg-type]


def registration(
    instance_id: str = "billing-1",
    address: str = "127.0.0.1:9000",
    of: AgentCard | None = None,
    *,
    ttl: timedelta = TTL,
    epoch: int = 0,
) -> Registration:
    """A registration of a billing agent, unless `of` is another card."""
    return Registration(instance_id, address, of or card(), ttl, epoch)


class TimedRegistry:
    """A registry and the clock that it goes by."""

    def __init__(
        self,
        state: RegistryState | None = None,
        settings: RegistrySettings | None = None,
        clock: HandClock | None = None,
    ) -> None:
        self.clock = clock or HandClock()
        self.registry = Registry(
            state, clock=self.clock, wall_clock=self._wall_clock, settings=settings or RegistrySettings()
        )

    def register(self, count: int, *, ttl: timedelta = TTL) -> list[Lease]:
        """Registers instances of one agent."""
        return [
            self.registry.register(registration(f"billing-{number}", f"127.0.0.1:{9_000 + number}", ttl=ttl))
            for number in range(count)
        ]

    def pass_time(self, seconds: float, *, renewing: tuple[Lease, ...] | list[Lease] = ()) -> list[str]:
        """Lets time pass as it does while the process runs, with renewals every third TTL. Gives who expired."""
        gone: list[str] = []
        for tick in range(round(seconds / _TICK_SECONDS)):
            self.clock.advance(_TICK_SECONDS)
            if tick % 6 == 0:
                for lease in renewing:
                    self.registry.renew(lease.instance_id, lease.epoch)
            gone += self.registry.expire_due()
        return gone

    def stall(self, seconds: float) -> None:
        """Lets time pass while the process stands still."""
        self.clock.advance(seconds)

    def _wall_clock(self) -> datetime:
        return START + timedelta(seconds=self.clock.now)
