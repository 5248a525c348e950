"""What every classifier promises, on every classifier."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.routing import LexicalEmbeddingClassifier, Offer, SecondLook, sentence_classifier
from tests.fakes.scripted_classifier import ScriptedClassifier
from tests.fakes.telecom_desk import BILLING, CARDS, FAULTS, ORDERS, catalogue

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.domain.card import AgentCard
    from lmos_grpc.routing import Classifier

TEXT = "why is my bill so high"
SCRIPT = {TEXT: {"explain-bill": 0.9, "manage-payment": 0.4}}


MADE: dict[str, Callable[[], Classifier]] = {
    "default": LexicalEmbeddingClassifier,
    "sentence": sentence_classifier,
    "second look": lambda: SecondLook(LexicalEmbeddingClassifier(), sentence_classifier()),
    "scripted": lambda: ScriptedClassifier(SCRIPT),
}


@pytest.fixture(params=list(MADE))
def make(request: pytest.FixtureRequest) -> Callable[[], Classifier]:
    return MADE[request.param]


@pytest.fixture
def classifier(make: Callable[[], Classifier]) -> Classifier:
    return make()


def offers(*cards: AgentCard) -> frozenset[Offer]:
    return frozenset(offer for card in cards for offer in Offer.of(card))


def test_it_has_a_name(classifier: Classifier) -> None:
    assert classifier.name


def test_an_empty_catalogue_ranks_nothing(classifier: Classifier) -> None:
    assert classifier.rank(TEXT, "", frozenset()) == ()


def test_offers_that_it_was_never_told_of_are_left_out(classifier: Classifier) -> None:
    classifier.sync(catalogue((BILLING,)))
    ranked = classifier.rank(TEXT, "", offers(BILLING, ORDERS))
    assert {each.offer.agent for each in ranked} == {"billing-agent"}


def test_a_single_capability_is_scored_like_any_other(classifier: Classifier) -> None:
    classifier.sync(catalogue((FAULTS,)))
    [score] = classifier.rank("what is the capital of France", "", offers(FAULTS))
    assert score.value < 0.5


def test_only_candidates_are_ranked(classifier: Classifier) -> None:
    classifier.sync(catalogue())
    ranked = classifier.rank(TEXT, "", offers(ORDERS, FAULTS))
    assert {each.offer for each in ranked} == offers(ORDERS, FAULTS)


def test_scores_lie_between_0_and_1_and_the_best_comes_first(classifier: Classifier) -> None:
    classifier.sync(catalogue())
    values = [each.value for each in classifier.rank(TEXT, "", offers(*CARDS))]
    assert values == sorted(values, reverse=True)
    assert all(0 <= value <= 1 for value in values)


def test_the_same_text_is_ranked_the_same_by_another_that_learned_in_another_order(
    make: Callable[[], Classifier],
) -> None:
    one, other = make(), make()
    one.sync(catalogue())
    for card in reversed(CARDS):
        other.sync({card.key: card})
    assert one.rank(TEXT, "", offers(*CARDS)) == other.rank(TEXT, "", offers(*CARDS))


def test_an_agent_that_is_gone_is_not_ranked_and_leaves_no_trace(make: Callable[[], Classifier]) -> None:
    one, other = make(), make()
    one.sync(catalogue())
    one.sync({BILLING.key: None})
    other.sync(catalogue(tuple(each for each in CARDS if each is not BILLING)))
    ranked = one.rank(TEXT, "", offers(*CARDS))
    assert all(each.offer.agent != "billing-agent" for each in ranked)
    assert ranked == other.rank(TEXT, "", offers(*CARDS))


def test_a_card_that_changed_replaces_what_was_known(classifier: Classifier) -> None:
    classifier.sync(catalogue())
    shrunk = replace(BILLING, capabilities=BILLING.capabilities[:1])
    classifier.sync({shrunk.key: shrunk})
    ranked = classifier.rank(TEXT, "", offers(BILLING))
    assert [each.offer.capability for each in ranked] == ["explain-bill"]


def test_an_agent_that_was_never_there_can_be_gone(classifier: Classifier) -> None:
    classifier.sync({BILLING.key: None})
    assert classifier.rank(TEXT, "", offers(BILLING)) == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "?!…",
        "🙂🙃",
        "\x00\ud800",
        "請問我的帳單為什麼這麼高",
        "لماذا فاتورتي مرتفعة",
        "a",
        "ﬁ" * 900,
        "word " * 50_000,
    ],
    ids=["empty", "blank", "signs", "emoji", "broken", "chinese", "arabic", "letter", "ligatures", "long"],
)
def test_any_text_is_taken(classifier: Classifier, text: str) -> None:
    classifier.sync(catalogue())
    assert all(0 <= each.value <= 1 for each in classifier.rank(text, "", offers(*CARDS)))


@pytest.mark.timeout(10)
def test_five_megabytes_are_no_slower_than_their_beginning(classifier: Classifier) -> None:
    classifier.sync(catalogue())
    beginning = (TEXT + " ") * 200
    ranked = classifier.rank(beginning + "x" * 5_000_000, "", offers(*CARDS))
    assert ranked == classifier.rank(beginning, "", offers(*CARDS))
