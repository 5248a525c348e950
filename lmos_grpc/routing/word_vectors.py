"""Static word vectors that ship inside the `wordllama` package: English meaning without a download or a key."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from lmos_grpc.errors import EnvironmentFaultError

if TYPE_CHECKING:
    import numpy.typing as npt

    from lmos_grpc.routing.text_features import Floats

DIMENSIONS = 256


class WordVectors:
    """Turns a text into a unit vector: the mean of the vectors of its word pieces (all zero where it has none)."""

    dimensions = DIMENSIONS

    def __init__(self, tokenizer: Tokenizer, vectors: npt.NDArray[np.float16]) -> None:
        self._tokenizer = tokenizer
        self._vectors = vectors

    def embed(self, text: str) -> Floats:
        """The vector of the text, whatever its case."""
        encodable = text.casefold().encode("utf-8", "replace").decode()  # the tokenizer refuses lone surrogates
        pieces = self._tokenizer.encode(encodable, add_special_tokens=False).ids
        if not pieces:
            return np.zeros(DIMENSIONS, dtype=np.float32)
        total: Floats = self._vectors[pieces].astype(np.float32).sum(axis=0)
        return total / max(float(np.linalg.norm(total)), 1e-9)


@cache
def load_word_vectors() -> WordVectors:
    """Loads the vectors once, in a tenth of a second.

    The files are read directly: importing `wordllama` would pull in an HTTP client and set up the root logger.

    Raises:
        EnvironmentFaultError: the package or its files are missing.
    """
    spec = find_spec("wordllama")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        weights = Path(folder, "weights", "l2_supercat_256.safetensors")
        tokenizer = Path(folder, "tokenizers", "l2_supercat_tokenizer_config.json")
        if weights.is_file() and tokenizer.is_file():
            vectors: npt.NDArray[np.float16] = load_file(weights)["embedding.weight"]
            return WordVectors(Tokenizer.from_file(str(tokenizer)), vectors)
    raise EnvironmentFaultError("the word vectors of wordllama 0.4 are missing: reinstall the package `wordllama`")
