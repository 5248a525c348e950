"""How the orchestrator of a mesh takes turns on."""

from __future__ import annotations

from dataclasses import dataclass

from lmos_grpc.domain.conversation import Durability
from lmos_grpc.errors import InvalidConfigurationError


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """When the log has what a turn says, and how many turns run at once."""

    durability: Durability = Durability.BEHIND
    max_turns: int = 2_000


def durability_named(name: str) -> Durability:
    """The durability.

    Raises:
        InvalidConfigurationError: there is none of that name.
    """
    try:
        return Durability(name.lower())
    except ValueError:
        known = ", ".join(each.value for each in Durability)
        raise InvalidConfigurationError(f"mesh.durability is {name!r}; say one of {known}") from None
