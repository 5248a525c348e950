"""The curve of a mesh: what it is made from, and when it stays the shipped one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lmos_grpc.domain.card import AgentCard, Capability
from lmos_grpc.routing import Curve, LexicalEmbeddingClassifier, Offer, learning_in_background
from lmos_grpc.routing.calibration import Calibration
from lmos_grpc.routing.everyday import EVERYDAY
from lmos_grpc.routing.machine import support
from lmos_grpc.routing.one_thread import on_one_thread
from lmos_grpc.routing.own_curve import own_curve
from lmos_grpc.routing.rehearsal import Rehearsed
from tests.fakes.telecom_desk import BILLING, CARDS, catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lmos_grpc.routing.text_features import Floats

SHIPPED = Calibration()
OFFER = Offer("billing-agent", "explain-bill", "1.0.0", "stable")
OTHER = Offer("order-agent", "track-order", "1.0.0", "stable")


def system(phrases: int, seed: int = 1) -> tuple[Floats, Floats, Floats]:
    chance = np.random.default_rng(seed)
    rows = chance.normal(size=(phrases, 40)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    sides = np.where(rows[:, 0] + 0.3 * rows[:, 1] > 0.2, 1, -1).astype(np.float32)
    costs = chance.uniform(0.1, 2, phrases).astype(np.float32)
    return rows @ rows.T + 1, sides, costs


@pytest.mark.parametrize("phrases", [60, 900])
def test_a_machine_is_the_best_there_is_however_many_phrases_are_solved_for(phrases: int) -> None:
    kernel, sides, costs = system(phrases)
    shares = support(kernel, sides, costs).shares
    within_margin = np.maximum(0, 1 - sides * (kernel @ shares))
    assert shares == pytest.approx(2 * costs * sides * within_margin, abs=2e-3)


def test_what_a_machine_says_of_a_phrase_left_out_is_what_one_says_that_never_saw_it() -> None:
    kernel, sides, costs = system(120)
    shares, unseen = support(kernel, sides, costs)
    never_saw = np.empty_like(unseen)
    with on_one_thread():
        for at in range(120):
            rest = np.delete(np.arange(120), at)
            never_saw[at] = kernel[at, rest] @ support(kernel[np.ix_(rest, rest)], sides[rest], costs[rest]).shares
    assert np.abs(unseen - never_saw).mean() < 0.1 * np.abs(kernel @ shares - never_saw).mean()


def rehearsed(everyday: Mapping[str, float], own: Sequence[float], *, right: bool = True) -> list[Rehearsed]:
    strangers = [
        Rehearsed(phrase, None, OFFER, everyday[spoken]) for spoken, some in EVERYDAY.items() for phrase in some
    ]
    best = OFFER if right else OTHER
    return [*strangers, *(Rehearsed(f"phrase {at}", OFFER, best, logit) for at, logit in enumerate(own))]


FAR = {"en": -3.0, "de": -3.0}
CLEAR = [5.0] * 100


@pytest.mark.parametrize("spoken", ["en", "de"])
def test_the_curve_is_stricter_where_strangers_come_near_in_the_language_of_the_mesh(spoken: str) -> None:
    curve = own_curve(SHIPPED, rehearsed(FAR | {spoken: 0.7}, CLEAR), taught=200)
    assert curve == Curve(Calibration(offset=-1.8), -1.2, left_out=100, found=100)


def test_the_curve_is_never_more_lenient_than_the_shipped_one() -> None:
    assert own_curve(SHIPPED, rehearsed(FAR, CLEAR), taught=200).calibration == SHIPPED


def test_a_mesh_moves_to_its_own_curve_as_it_is_taught_more() -> None:
    heard = rehearsed(FAR | {"en": 0.5}, CLEAR)
    shifts = [own_curve(SHIPPED, heard, taught).shift for taught in (0, 50, 100, 150, 5_000)]
    assert shifts == [0, 0, -0.5, -1, -1]


def test_the_curve_is_no_stricter_than_the_own_phrases_of_the_mesh_allow() -> None:
    heard = rehearsed(FAR | {"en": 4.0}, [*[0.8] * 10, *[5.0] * 90])
    assert own_curve(SHIPPED, heard, taught=200).shift == pytest.approx(-0.8)


def test_phrases_that_went_to_another_agent_are_not_counted_as_found() -> None:
    curve = own_curve(SHIPPED, rehearsed(FAR, CLEAR, right=False), taught=200)
    assert (curve.left_out, curve.found) == (100, 0)


def test_three_agents_with_five_phrases_keep_the_shipped_curve() -> None:
    phrases = ("what is my balance", "who is my contact", "how do I pay", "when is it due", "what does it cost")
    cards = tuple(
        AgentCard(f"{name}-agent", "1.0.0", capabilities=(Capability(name, "1.0.0", examples={"en": phrases}),))
        for name in ("red", "green", "blue")
    )
    classifier = LexicalEmbeddingClassifier()
    classifier.sync(catalogue(cards))
    assert classifier.curve.calibration == SHIPPED
    assert classifier.curve.left_out > 0


def assistant() -> tuple[AgentCard, ...]:
    # Agents for this and that, to whom one speaks as to anybody.
    said = sorted(EVERYDAY["en"])
    parts = [tuple(f"{each} please" for each in said[at : at + 11]) for at in range(0, 110, 11)]
    capabilities = [Capability(f"part-{at}", "1.0.0", examples={"en": part}) for at, part in enumerate(parts)]
    return tuple(
        AgentCard(f"agent-{at}", "1.0.0", capabilities=(capabilities[at], capabilities[at + 5])) for at in range(5)
    )


def test_the_curve_depends_on_the_cards_alone() -> None:
    cards = assistant()
    at_once, one_by_one = LexicalEmbeddingClassifier(), LexicalEmbeddingClassifier()
    at_once.sync(catalogue(cards))
    one_by_one.sync(catalogue((BILLING,)))
    for card in reversed(cards):
        one_by_one.sync({card.key: card})
    one_by_one.sync({BILLING.key: None})
    assert at_once.curve.shift < 0
    assert one_by_one.curve == at_once.curve


def test_a_mesh_that_lost_all_agents_has_the_shipped_curve() -> None:
    classifier = LexicalEmbeddingClassifier()
    cards = assistant()
    classifier.sync(catalogue(cards))
    classifier.sync({each.key: None for each in cards})
    assert classifier.curve == Curve()


async def test_the_curve_is_told_once_all_is_learnt() -> None:
    told: dict[str, Curve] = {}
    async with learning_in_background(LexicalEmbeddingClassifier(), told.__setitem__) as learning:
        learning.sync(catalogue(CARDS))
        async with asyncio.timeout(20):
            await learning.settled()
        curve = told["lexical-embedding"]
    assert curve.found > 0.7 * curve.left_out > 0
