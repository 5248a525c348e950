"""What a mesh classifies with, as its settings say: from words alone up to a model behind an API."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from lmos_grpc.errors import InvalidConfigurationError
from lmos_grpc.routing import (
    ClassifierKind,
    Consultant,
    LexicalEmbeddingClassifier,
    OpinionKind,
    SecondLook,
    learning_in_background,
    sentence_classifier,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc.routing import Classifier, Curve, OpinionSettings, SecondOpinion
    from lmos_grpc.telemetry import Metrics

_NO_KEY = "none"


@asynccontextmanager
async def run_classifier(kind: ClassifierKind, metrics: Metrics) -> AsyncIterator[Classifier]:
    """The classifier, which learns as long as the block runs.

    Raises:
        EnvironmentFaultError: the sentence model is not installed.
    """

    def told(name: str, curve: Curve) -> None:
        metrics.curve_learnt(name, shift=curve.shift, left_out=curve.left_out, found=curve.found)

    async with AsyncExitStack() as stack:
        lexical = await stack.enter_async_context(learning_in_background(LexicalEmbeddingClassifier(), told))
        if kind is ClassifierKind.LEXICAL:
            yield lexical
            return
        yield SecondLook(lexical, await stack.enter_async_context(learning_in_background(sentence_classifier(), told)))


@asynccontextmanager
async def open_consultant(settings: OpinionSettings) -> AsyncIterator[Consultant | None]:
    """Whom to ask where the classifier is not sure; None: nobody.

    Raises:
        InvalidConfigurationError: it is not said which model that is.
    """
    if settings.kind is OpinionKind.OFF:
        yield None
        return
    if not settings.model or not settings.base_url:
        raise InvalidConfigurationError(
            "a second opinion needs a model: set model.base_url and mesh.opinion_model (or model.name)"
        )
    # The client is large; a mesh that asks nobody does without it.
    from openai import AsyncOpenAI  # noqa: PLC0415

    from lmos_grpc.routing.openai_opinion import ChatOpinion, EmbeddingOpinion  # noqa: PLC0415

    seconds = settings.limit.total_seconds()
    client = AsyncOpenAI(
        api_key=settings.api_key or _NO_KEY, base_url=settings.base_url, timeout=seconds, max_retries=0
    )
    async with client:
        opinion: SecondOpinion = (
            ChatOpinion(client, settings.model)
            if settings.kind is OpinionKind.CHAT
            else EmbeddingOpinion(client, settings.model)
        )
        yield Consultant(opinion, settings.limit)
