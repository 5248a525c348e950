"""Learning beside the event loop."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from lmos_grpc.routing import LexicalEmbeddingClassifier, Offer, learning_in_background
from lmos_grpc.routing.word_vectors import load_word_vectors
from tests.fakes.telecom_desk import BILLING, CARDS, FAULTS, catalogue

if TYPE_CHECKING:
    from lmos_grpc.routing.text_features import Floats

OFFERS = frozenset(offer for card in CARDS for offer in Offer.of(card))
TEXT = "why is my bill so high"


class BusyVectors:
    """Vectors on a machine where others have the processor whenever one wants it."""

    def __init__(self) -> None:
        self._vectors = load_word_vectors()
        self.dimensions = self._vectors.dimensions

    def embed(self, text: str) -> Floats:
        time.sleep(0.003)
        return self._vectors.embed(text)


async def test_what_is_new_is_ranked_at_once_and_learnt_soon() -> None:
    async with learning_in_background(LexicalEmbeddingClassifier()) as learning:
        learning.sync(catalogue())
        assert learning.rank(TEXT, "", OFFERS)[0].offer.capability == "explain-bill"  # at first glance
        async with asyncio.timeout(20):
            await learning.settled()
        assert learning.rank(TEXT, "", OFFERS)[0].offer.capability == "explain-bill"


async def test_a_busy_machine_hides_no_capability_from_the_first_glance() -> None:
    async with learning_in_background(LexicalEmbeddingClassifier(BusyVectors)) as learning:
        learning.sync(catalogue((BILLING,)))
        assert {each.offer for each in learning.rank(TEXT, "", OFFERS)} == {*Offer.of(BILLING)}


async def test_what_was_learnt_beside_the_loop_is_what_is_learnt_at_once() -> None:
    at_once = LexicalEmbeddingClassifier()
    at_once.sync(catalogue())
    async with learning_in_background(LexicalEmbeddingClassifier()) as learning, asyncio.timeout(20):
        for card in reversed(CARDS):
            learning.sync({card.key: card})
            await learning.settled()
        assert learning.rank(TEXT, "", OFFERS) == at_once.rank(TEXT, "", OFFERS)


async def test_an_agent_that_goes_while_others_are_learnt_is_ranked_no_more() -> None:
    async with learning_in_background(LexicalEmbeddingClassifier()) as learning, asyncio.timeout(20):
        learning.sync(catalogue((BILLING, FAULTS)))
        learning.sync({BILLING.key: None})
        await learning.settled()
        assert {each.offer.agent for each in learning.rank(TEXT, "", OFFERS)} == {"fault-agent"}


async def test_decisions_go_on_while_it_learns() -> None:
    async with learning_in_background(LexicalEmbeddingClassifier()) as learning, asyncio.timeout(20):
        learning.sync(catalogue())
        settled = asyncio.create_task(learning.settled())
        ranked = 0
        while not settled.done():
            learning.rank(TEXT, "", OFFERS)
            ranked += 1
            await asyncio.sleep(0)
        assert ranked > 1
