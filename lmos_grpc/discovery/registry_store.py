"""What of the registry outlives its process, and the interface of what keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lmos_grpc.domain.instance import Instance


@dataclass(frozen=True, slots=True)
class RegistryState:
    """A registry as a whole: its counters and who holds a lease in it."""

    registry_id: str
    revision: int = 0
    last_epoch: int = 0
    instances: tuple[Instance, ...] = ()


@dataclass(frozen=True, slots=True)
class RegistryChanges:
    """What to write at once. `whole` means that instances not named are gone; `clean` that no more changes follow."""

    registry_id: str
    revision: int
    last_epoch: int
    puts: tuple[Instance, ...] = ()
    removed_ids: tuple[str, ...] = ()
    whole: bool = False
    clean: bool = False


@dataclass(frozen=True, slots=True)
class StoredRegistry:
    """What was saved last. Not `clean` means that the last changes may be missing."""

    state: RegistryState
    clean: bool


class RegistryStore(Protocol):
    """Keeps one registry."""

    async def load(self) -> StoredRegistry | None:
        """What was saved last, or None for nothing.

        Raises:
            StoreUnavailableError: it cannot be read now.
        """

    async def save(self, changes: RegistryChanges) -> None:
        """Writes changes, all or none; when it returns, they outlive this process.

        Raises:
            StoreUnavailableError: they could not be written.
        """
