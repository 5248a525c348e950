"""Words and letter groups of a text."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmos_grpc.errors import EnvironmentFaultError
from lmos_grpc.routing.text_features import FEATURES, LONGEST_TEXT, features, words
from lmos_grpc.routing.word_vectors import DIMENSIONS, load_word_vectors


def test_words_know_no_case_and_no_accents() -> None:
    assert words("Kündige, BITTE: Straße!") == ["kundige", "bitte", "strasse"]


def test_only_the_first_two_thousand_characters_are_read() -> None:
    assert words("a" * 10_000) == ["a" * LONGEST_TEXT]


@given(st.text(max_size=300))
def test_features_are_distinct_and_positive(text: str) -> None:
    ids, weights = features(text)
    assert len(set(ids.tolist())) == len(ids) == len(weights)
    assert bool(np.all((ids >= 0) & (ids < FEATURES) & (weights > 0)))


def test_a_misspelt_word_keeps_most_of_its_letters() -> None:
    right, wrong = set(features("internetverbindung")[0].tolist()), set(features("internetverbidnung")[0].tolist())
    assert len(right & wrong) > len(right) / 2


@given(st.text(max_size=200))
def test_a_word_vector_is_of_length_one_or_zero(text: str) -> None:
    vector = load_word_vectors().embed(text)
    assert vector.shape == (DIMENSIONS,)
    length = float(np.linalg.norm(vector))
    assert length == 0 or abs(length - 1) < 1e-3


def test_word_vectors_know_meaning_beyond_the_letters() -> None:
    embed = load_word_vectors().embed
    parcel, package, banana = embed("where is my parcel"), embed("where is my package"), embed("a ripe banana")
    assert float(parcel @ package) > float(parcel @ banana) + 0.3


def test_loading_needs_no_http_client_and_leaves_the_root_logger_alone() -> None:
    script = (
        "import logging, sys; from lmos_grpc.routing.word_vectors import load_word_vectors; load_word_vectors();"
        "assert not {'wordllama', 'requests', 'urllib3'} & sys.modules.keys(); assert not logging.root.handlers"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)


def test_missing_word_vectors_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmos_grpc.routing.word_vectors.find_spec", lambda _: None)
    with pytest.raises(EnvironmentFaultError, match="reinstall the package `wordllama`"):
        load_word_vectors.__wrapped__()
