"""Learning beside the event loop: decisions go on with what is known, and each lesson is in force once it is learnt."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from lmos_grpc.domain.card import AgentCard, AgentKey
    from lmos_grpc.routing.classifier import Offer, Score
    from lmos_grpc.routing.lesson import Lesson
    from lmos_grpc.routing.lexical_embedding_classifier import LexicalEmbeddingClassifier

_GLANCE_SECONDS = 0.005
_STEP_SECONDS = 0.1
_REST_SECONDS = 0.3  # after a step that nobody waits for, so that it takes a quarter of one core


class BackgroundLearning:
    """A classifier whose `sync` returns at once; what is new is ranked roughly at first."""

    def __init__(self, classifier: LexicalEmbeddingClassifier) -> None:
        self._classifier = classifier
        self._changed: dict[AgentKey, AgentCard | None] = {}
        self._reading: Iterator[Lesson] = iter(())
        self._hurry = True
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()

    @property
    def name(self) -> str:
        """That of the classifier which learns."""
        return self._classifier.name

    def sync(self, changed: Mapping[AgentKey, AgentCard | None]) -> None:
        """Takes note of the cards, to learn from them soon, after five milliseconds of a first glance."""
        self._changed.update(changed)
        self._classifier.glance(changed, time.thread_time() + _GLANCE_SECONDS)
        self._settled.clear()
        self._wake.set()

    def rank(self, text: str, locale: str, candidates: frozenset[Offer]) -> tuple[Score, ...]:
        """Ranks with what has been learnt so far."""
        return self._classifier.rank(text, locale, candidates)

    async def settled(self) -> None:
        """Returns once all is learnt that there is to learn."""
        await self._settled.wait()

    async def run(self) -> None:
        """Learns for ever, in steps of a tenth of a second on a thread of its own."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "learning") as thread:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while lessons := await loop.run_in_executor(thread, self._step, self._taken()):
                    for lesson in lessons:
                        self._classifier.take(lesson)
                    if not self._hurry:
                        await self._rest()
                if not self._changed:
                    self._settled.set()

    def _taken(self) -> dict[AgentKey, AgentCard | None]:
        changed, self._changed = self._changed, {}
        return changed

    def _step(self, changed: Mapping[AgentKey, AgentCard | None]) -> list[Lesson]:
        learner = self._classifier.learner
        lessons: list[Lesson] = []
        if changed:
            self._reading = chain(self._reading, learner.change(changed))
        end = time.perf_counter() + _STEP_SECONDS
        while time.perf_counter() < end:
            read = next(self._reading, None)
            lesson = read or learner.learn()
            self._hurry = read is not None or learner.urgent
            if lesson is None:
                break
            lessons.append(lesson)
        return lessons

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(_REST_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return


@asynccontextmanager
async def learning_in_background(classifier: LexicalEmbeddingClassifier) -> AsyncIterator[BackgroundLearning]:
    """The classifier, which learns as long as the context is open."""
    learning = BackgroundLearning(classifier)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(learning.run(), name="learning")
        try:
            yield learning
        finally:
            task.cancel()
