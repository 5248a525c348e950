"""The phrases of one offer, as the classifier compares them with a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lmos_grpc.routing.text_features import FEATURES, features, words

if TYPE_CHECKING:
    from lmos_grpc.domain.card import AgentCard, Capability
    from lmos_grpc.routing.text_features import Floats, Ids
    from lmos_grpc.routing.word_vectors import WordVectors


@dataclass(frozen=True, slots=True)
class PhraseSet:
    """Phrases with their vectors (n by 256) and features (flat; phrase i begins at `starts[i]`)."""

    phrases: tuple[str, ...]
    vectors: Floats
    ids: Ids
    weights: Floats
    starts: Ids

    @classmethod
    def of(cls, phrases: tuple[str, ...], word_vectors: WordVectors) -> PhraseSet:
        """Reads the phrases; each must have at least one word."""
        parts = [features(each) for each in phrases]
        lengths = np.array([len(ids) for ids, _ in parts])
        return cls(
            phrases,
            np.stack([word_vectors.embed(each) for each in phrases]),
            np.concatenate([ids for ids, _ in parts]),
            # Unit length each, so that a long phrase does not count for more in the sum of all.
            np.concatenate([weights / np.linalg.norm(weights) for _, weights in parts]),
            np.concatenate([[0], lengths.cumsum()[:-1]]),
        )

    def direction(self) -> Floats:
        """The unit vector in the middle of all phrases."""
        total: Floats = self.vectors.sum(axis=0)
        return total / max(float(np.linalg.norm(total)), 1e-9)

    def profile(self) -> Floats:
        """The features of all phrases together, by feature."""
        return np.bincount(self.ids, weights=self.weights, minlength=FEATURES).astype(np.float32)

    def document_counts(self) -> Ids:
        """In how many of the phrases each feature is."""
        return np.bincount(self.ids, minlength=FEATURES)


def phrases_of(card: AgentCard, capability: Capability) -> tuple[str, ...]:
    """What the card says of a capability: its description with its names, then every example, each once."""
    about = (card.name.replace("-", " "), capability.id.replace("-", " "), capability.name, *capability.tags)
    description = f"{' '.join(filter(None, about))}: {capability.description or card.description}"
    examples = (phrase for phrases in capability.examples.values() for phrase in phrases)
    return tuple(dict.fromkeys((description, *(each for each in examples if words(each)))))
