"""Phrases in the two forms in which a classifier learns from them and compares a text with them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from lmos_grpc.routing.text_features import FEATURES, features, words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from lmos_grpc.domain.card import AgentCard, Capability
    from lmos_grpc.routing.text_features import Floats, Ids

_GRAIN = np.float32(1 / 400)  # in a unit vector of hundreds of numbers, none is far from zero
_SKETCH = 2_048
_SPREAD = 2_654_435_761  # Knuth's multiplier: neighbouring ids land far apart


@dataclass(frozen=True, slots=True, eq=False)
class PhraseSet:
    """Phrases with their vectors (n by dimensions) and features (flat; phrase i begins at `starts[i]`), kept small.

    `ranks` are hashes of the phrases: the lowest of many sets are a fair sample that hardly changes with one of them.
    """

    phrases: tuple[str, ...]
    vectors: npt.NDArray[np.int8]
    ids: npt.NDArray[np.uint16]
    weights: npt.NDArray[np.float16]
    starts: npt.NDArray[np.int32]
    ranks: npt.NDArray[np.uint32]

    @classmethod
    def of(cls, phrases: Sequence[str], embed: Callable[[str], Floats]) -> PhraseSet:
        """Reads the phrases; each must have at least one word."""
        parts = [features(each) for each in phrases]
        return cls(
            tuple(phrases),
            np.stack([_coarse(embed(each)) for each in phrases]),
            np.concatenate([ids for ids, _ in parts]).astype(np.uint16),
            np.concatenate([weights for _, weights in parts]).astype(np.float16),
            _starts(np.array([len(ids) for ids, _ in parts])),
            np.array([zlib.crc32(each.encode("utf-8", "surrogatepass")) for each in phrases], dtype=np.uint32),
        )

    @classmethod
    def joined(cls, sets: Sequence[PhraseSet]) -> PhraseSet:
        """All phrases of several sets, one set after the other."""
        return cls(
            tuple(phrase for each in sets for phrase in each.phrases),
            np.concatenate([each.vectors for each in sets]),
            np.concatenate([each.ids for each in sets]),
            np.concatenate([each.weights for each in sets]),
            _starts(np.concatenate([each.lengths for each in sets])),
            np.concatenate([each.ranks for each in sets]),
        )

    def __len__(self) -> int:
        return len(self.phrases)

    @property
    def lengths(self) -> Ids:
        """How many features each phrase has."""
        found = np.empty_like(self.starts)
        np.subtract(self.starts[1:], self.starts[:-1], out=found[:-1])
        found[-1:] = len(self.ids) - self.starts[-1:]
        return found.astype(np.int64)

    def pick(self, rows: Ids) -> PhraseSet:
        """Some of the phrases."""
        lengths = self.lengths[rows]
        starts = _starts(lengths)
        at = np.repeat(self.starts[rows] - starts, lengths) + np.arange(lengths.sum())
        phrases = tuple(self.phrases[row] for row in rows)
        return PhraseSet(phrases, self.vectors[rows], self.ids[at], self.weights[at], starts, self.ranks[rows])

    def likeness(self, dense: Floats, direction: Floats) -> Floats:
        """How like each phrase is to a text, which is given by all its features and by its vector."""
        shared: Floats = np.add.reduceat(self.weights * dense[self.ids], self.starts)
        meant: Floats = self.vectors.astype(np.float32) @ (_GRAIN * direction)
        return shared + meant

    def dense(self, row: int) -> tuple[Floats, Floats]:
        """One phrase by all its features, and its vector."""
        end = self.starts[row] + self.lengths[row]
        features_of = np.zeros(FEATURES, dtype=np.float32)
        features_of[self.ids[self.starts[row] : end]] = self.weights[self.starts[row] : end]
        return features_of, _GRAIN * self.vectors[row].astype(np.float32)

    def mixture(self, shares: Floats) -> tuple[Floats, Floats]:
        """All phrases together, each by its share: by feature, and as a vector."""
        profile = np.bincount(self.ids, np.repeat(shares, self.lengths) * self.weights, FEATURES)
        return profile.astype(np.float32), shares @ (_GRAIN * self.vectors.astype(np.float32))

    def sketch(self) -> Floats:
        """The phrases as short dense rows, whose products are nearly those of features, vectors and a constant."""
        cells = np.repeat(np.arange(len(self)), self.lengths) * _SKETCH
        place, sign = _folded(self.ids)
        lexical = np.bincount(cells + place, sign * self.weights, len(self) * _SKETCH).reshape(len(self), _SKETCH)
        constant = np.ones((len(self), 1))
        return np.concatenate(
            (lexical, _GRAIN * self.vectors.astype(np.float32), constant),
            axis=1,
            dtype=np.float32,
            casting="unsafe",
        )

    def products(self, columns: Floats) -> Floats:
        """The products with phrases whose sketches are the columns; quick, for a phrase has few features."""
        place, sign = _folded(self.ids)
        weights = (sign * self.weights).astype(np.float32)
        meant = np.concatenate([_GRAIN * self.vectors.astype(np.float32), np.ones((len(self), 1), np.float32)], axis=1)
        found: Floats = meant @ columns[_SKETCH:]
        room = np.empty((int(self.lengths.max(initial=0)), columns.shape[1]), dtype=np.float32)
        for row, (start, end) in enumerate(pairwise((*self.starts.tolist(), len(self.ids)))):
            rows = columns.take(place[start:end], axis=0, out=room[: end - start], mode="clip")  # "clip": unbuffered
            found[row] += weights[start:end] @ rows
        return found


def _coarse(vector: Floats) -> npt.NDArray[np.int8]:
    coarse: npt.NDArray[np.int8] = np.clip(np.rint(vector / _GRAIN), -127, 127).astype(np.int8)
    return coarse


def phrases_of(card: AgentCard, capability: Capability) -> tuple[str, ...]:
    """What the card says of a capability: its description with its names, then every example, each once."""
    about = (card.name.replace("-", " "), capability.id.replace("-", " "), capability.name, *capability.tags)
    description = f"{' '.join(filter(None, about))}: {capability.description or card.description}"
    examples = (phrase for phrases in capability.examples.values() for phrase in phrases)
    return tuple(dict.fromkeys((description, *(each for each in examples if words(each)))))


def _starts(lengths: Ids) -> npt.NDArray[np.int32]:
    return np.concatenate([[0], lengths.cumsum()[:-1]]).astype(np.int32)


def _folded(ids: npt.NDArray[np.uint16]) -> tuple[Ids, Ids]:
    # Signs make features that share a place cancel out on average instead of adding up.
    mixed = (ids.astype(np.int64) * _SPREAD) >> 8
    return mixed % _SKETCH, 1 - 2 * ((mixed >> 14) & 1)
