"""What turns a text into a vector that tells its meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lmos_grpc.routing.text_features import Floats


class TextVectors(Protocol):
    """Unit vectors for texts, near to each other where the texts mean the like. Called from two threads."""

    @property
    def dimensions(self) -> int:
        """How long the vectors are."""

    def embed(self, text: str) -> Floats:
        """The vector of the text; all zero where it has no words."""
