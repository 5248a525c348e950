"""The default classifier on a small service desk: who is found, and what is told to be out of scope."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from lmos_grpc.domain.card import AgentCard, Capability
from lmos_grpc.routing import LexicalEmbeddingClassifier, Offer, RoutingSettings
from tests.fakes.telecom_desk import CARDS, HELD_OUT, OUT_OF_SCOPE, catalogue

ACCEPT = RoutingSettings().accept
OFFERS = frozenset(offer for card in CARDS for offer in Offer.of(card))


def with_phrases(card: AgentCard, count: int) -> AgentCard:
    def shortened(capability: Capability) -> Capability:
        return replace(capability, examples={locale: each[:count] for locale, each in capability.examples.items()})

    return replace(card, capabilities=tuple(map(shortened, card.capabilities)))


@cache
def trained(phrases_per_locale: int) -> LexicalEmbeddingClassifier:
    classifier = LexicalEmbeddingClassifier()
    classifier.sync(catalogue(tuple(with_phrases(card, phrases_per_locale) for card in CARDS)))
    return classifier


def share_found(phrases_per_locale: int, *, accept: float) -> float:
    found = 0
    for text, capability in HELD_OUT:
        best = trained(phrases_per_locale).rank(text, "", OFFERS)[0]
        found += best.offer.capability == capability and best.value >= accept
    return found / len(HELD_OUT)


@pytest.mark.parametrize(("phrases", "bar"), [(0, 0.6), (1, 0.7), (5, 0.95)])
def test_the_right_capability_comes_first_for_paraphrases(phrases: int, bar: float) -> None:
    assert share_found(phrases, accept=0) >= bar


def test_most_paraphrases_are_above_the_threshold() -> None:
    assert share_found(5, accept=ACCEPT) >= 0.85


@pytest.mark.parametrize("phrases", [0, 1, 5])
def test_out_of_scope_stays_below_the_same_threshold_with_few_and_many_phrases(phrases: int) -> None:
    taken = [text for text in OUT_OF_SCOPE if trained(phrases).rank(text, "", OFFERS)[0].value >= ACCEPT]
    assert len(taken) <= 1, taken


def test_an_agent_with_a_hundred_phrases_does_not_crowd_out_one_with_a_single_phrase() -> None:
    talkative = AgentCard(
        "talkative-agent",
        "1.0.0",
        capabilities=(
            Capability("talk", "1.0.0", examples={"en": tuple(f"tell me story number {each}" for each in range(100))}),
        ),
    )
    terse = AgentCard(
        "terse-agent",
        "1.0.0",
        capabilities=(Capability("unblock-card", "1.0.0", examples={"en": ("my sim card is blocked",)}),),
    )
    classifier = LexicalEmbeddingClassifier()
    classifier.sync(catalogue((talkative, terse)))
    ranked = classifier.rank("please unblock my sim card", "", frozenset((*Offer.of(talkative), *Offer.of(terse))))
    assert ranked[0].offer.agent == "terse-agent"
    assert ranked[0].value >= ACCEPT
    assert ranked[1].value < ACCEPT


def test_the_score_names_the_nearest_phrase() -> None:
    best = trained(5).rank("why is my bill so high this month", "en", OFFERS)[0]
    assert best.nearest == "why is my bill higher than last month"
