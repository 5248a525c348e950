"""What a classifier promises: it scores how well each offered capability fits a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lmos_grpc.domain.card import AgentKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmos_grpc.domain.card import AgentCard


@dataclass(frozen=True, slots=True, order=True)
class Offer:
    """One capability of one agent in one version and subset; orders by name, so that ties break the same everywhere."""

    agent: str
    capability: str
    version: str
    subset: str

    @property
    def key(self) -> AgentKey:
        """The agent that offers it."""
        return AgentKey(self.agent, self.version, self.subset)

    @classmethod
    def of(cls, card: AgentCard) -> tuple[Offer, ...]:
        """All that a card offers."""
        return tuple(cls(card.name, each.id, card.version, card.subset) for each in card.capabilities)


@dataclass(frozen=True, slots=True)
class Score:
    """How well an offer fits a text, from 0 to 1, and the phrase of the card that is nearest to the text."""

    offer: Offer
    value: float
    nearest: str = ""


class Classifier(Protocol):
    """Ranks offers by how well they fit a text. Same cards and same text: same ranking, on every machine.

    A value means the same for an offer with one example phrase and with a hundred, so that one threshold serves all.
    """

    @property
    def name(self) -> str:
        """The name that decisions carry."""

    def sync(self, changed: Mapping[AgentKey, AgentCard | None]) -> None:
        """Takes in cards that are new or changed; None means that the agent is gone."""

    def rank(self, text: str, locale: str, candidates: frozenset[Offer]) -> tuple[Score, ...]:
        """The best of the candidates, the best first, never any other; at least ten where there are as many.

        Offers that `sync` never brought are left out. A text of any length is taken; the first 2,000 characters
        count. The locale (BCP 47, may be empty) is for classifiers that need it.
        """
