"""Words, word pairs and letter groups of a text as hashed features: what works in any language."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

FEATURES = 8_192
LONGEST_TEXT = 2_000

_WORD = re.compile(r"\w+")
_LETTERS = 4
_WORD_COUNT = 2.0  # a whole word says more than four letters of it

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def words(text: str) -> list[str]:
    """The words of the first 2,000 characters, without case and accents."""
    folded = text[:LONGEST_TEXT].casefold()
    if folded.isascii():
        return _WORD.findall(folded)
    decomposed = unicodedata.normalize("NFKD", folded)
    return _WORD.findall("".join(each for each in decomposed if not unicodedata.combining(each)))


def features(text: str) -> tuple[Ids, Floats]:
    """The distinct features of a text and the weight of each; together they have the length one, or there are none.

    How rare a feature is does not count: whoever learns from the phrases finds that out, and a weight that depends on
    the text alone never has to be made anew when agents come and go.
    """
    spoken = words(text)
    counts: Counter[int] = Counter()
    for word in spoken:
        counts.update(_letter_groups(word))
    weighted: dict[int, float] = dict(counts)
    for feature in (*spoken, *map(" ".join, pairwise(spoken))):
        hashed = _hashed(feature, seed=1)
        weighted[hashed] = weighted.get(hashed, 0.0) + _WORD_COUNT
    ids = np.fromiter(weighted.keys(), dtype=np.int64, count=len(weighted))
    weights: Floats = np.log1p(np.fromiter(weighted.values(), dtype=np.float32, count=len(weighted)))
    weights /= max(float(np.linalg.norm(weights)), 1e-9)
    return ids, weights


@lru_cache(maxsize=20_000)
def _letter_groups(word: str) -> tuple[int, ...]:
    padded = f" {word} "
    return tuple(_hashed(padded[at : at + _LETTERS], seed=0) for at in range(len(padded) - _LETTERS + 1))


def _hashed(feature: str, *, seed: int) -> int:
    return zlib.crc32(feature.encode("utf-8", "surrogatepass"), seed) % FEATURES
