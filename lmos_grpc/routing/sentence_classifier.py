"""The classifier with a sentence model in the place of word vectors."""

from __future__ import annotations

from lmos_grpc.routing.calibration import Calibration
from lmos_grpc.routing.lexical_embedding_classifier import LexicalEmbeddingClassifier
from lmos_grpc.routing.sentence_vectors import load_sentence_vectors

_OFFSET = -0.9  # sentences are more alike than words; chosen on the validation split of CLINC150


def sentence_classifier() -> LexicalEmbeddingClassifier:
    """A classifier that has learnt nothing yet.

    Raises:
        EnvironmentFaultError: the sentence model is not installed.
    """
    return LexicalEmbeddingClassifier(load_sentence_vectors, name="sentence", calibration=Calibration(offset=_OFFSET))
