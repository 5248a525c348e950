"""How the orchestrator of a mesh runs turns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lmos_grpc.domain.conversation import Durability
from lmos_grpc.errors import InvalidConfigurationError

if TYPE_CHECKING:
    from lmos_grpc.cli.settings import ModelSection


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """When the log has what a turn says, how many turns run at once, and how the answers of a fan-out are judged.

    `judge` is the model that judges; None: scores judge. Until then `most_held_bytes` are held back of each branch.
    """

    durability: Durability = Durability.BEHIND
    max_turns: int = 2_000
    judge: ModelSection | None = None
    most_held_bytes: int = 4 * 1024 * 1024

    def durability_of(self, wish: bool | None) -> Durability:  # noqa: FBT001 # what a channel says, and it may say nothing
        """That of a turn whose channel wishes it durable or not; None: as the mesh has it."""
        if wish is None:
            return self.durability
        return Durability.BEFORE_SHOWN if wish else Durability.BEHIND


def judge_named(name: str, model: ModelSection) -> ModelSection | None:
    """The model of this name, on the server of the other; None for no name."""
    return replace(model, name=name) if name else None


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
