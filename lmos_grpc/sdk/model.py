"""Streams from an OpenAI-compatible language model, with a span and the count of its tokens."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from openai import APIConnectionError, APIError, APIStatusError, AsyncOpenAI
from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionSystemMessageParam,
    ChatCompletionUserMessageParam,
)

from lmos_grpc.domain.event import Usage
from lmos_grpc.domain.turn import Role
from lmos_grpc.errors import AgentFailedError, ModelNotConfiguredError, ModelUnavailableError
from lmos_grpc.telemetry import model_call

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager

    from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

    from lmos_grpc.domain.turn import Message
    from lmos_grpc.errors import LmosError
    from lmos_grpc.sdk.settings import ModelSettings
    from lmos_grpc.telemetry import ModelCall, Tracing

_PROVIDER = "openai"
# The client insists on a key, and servers that want none do not look at it.
_NO_KEY = "none"
_MISCONFIGURED = frozenset({401, 403, 404})
_TRY_AGAIN = frozenset({408, 409, 429})
_SERVER_FAULT = 500


@asynccontextmanager
async def open_model(settings: ModelSettings, tracing: Tracing) -> AsyncIterator[Model]:
    """A model that is ready to be asked, until the block ends."""
    client = AsyncOpenAI(
        api_key=settings.api_key or _NO_KEY,
        base_url=settings.base_url,
        timeout=settings.timeout.total_seconds(),
        max_retries=settings.retries,
    )
    async with client:
        yield Model(client, settings, tracing)


class Model:
    """A `LanguageModel` behind the `openai` client."""

    def __init__(self, client: AsyncOpenAI, settings: ModelSettings, tracing: Tracing) -> None:
        self._client = client
        self._settings = settings
        self._tracing = tracing
        self._server = urlsplit(settings.base_url)

    async def stream(
        self,
        messages: tuple[Message, ...],
        *,
        model: str,
        system: str,
        spent: Callable[[Usage], None],
        sensitive: bool = False,
    ) -> AsyncGenerator[str, None]:
        """Yields the answer piece by piece; closing the generator closes the HTTP stream.

        Raises:
            ModelNotConfiguredError: the server refuses the key or the name of the model.
            ModelUnavailableError: the server did not answer, or not to the end.
            AgentFailedError: the server refuses what it was asked.
        """
        name = model or self._settings.name
        with self._span(name, sensitive=sensitive) as call, _our_errors(self._settings):
            call.asked(*([("system", system)] if system else []), *((_role(each), each.text) for each in messages))
            reading = _Reading(call, name)
            stream = await self._client.chat.completions.create(
                model=name, messages=_asked(messages, system), stream=True, stream_options={"include_usage": True}
            )
            async with stream:
                async for chunk in stream:
                    if text := reading.take(chunk):
                        yield text
            spent(reading.end())

    def _span(self, name: str, *, sensitive: bool) -> AbstractContextManager[ModelCall]:
        return model_call(
            self._tracing.tracer,
            model=name,
            provider=_PROVIDER,
            address=self._server.hostname or "",
            port=self._server.port,
            capture_content=self._tracing.capture_content and not sensitive,
        )


class _Reading:
    """What the chunks of one answer tell beside its text."""

    def __init__(self, call: ModelCall, model: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._call = call
        self._model = model
        self._clock = clock
        self._started = clock()
        self._first: float | None = None
        self._finish = ""
        self._tokens = (0, 0)
        self._pieces: list[str] = []

    def take(self, chunk: ChatCompletionChunk) -> str:
        """The text of a chunk, empty where it has none."""
        self._model = chunk.model or self._model
        if chunk.usage:
            self._tokens = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        choice = chunk.choices[0] if chunk.choices else None
        self._finish = (choice and choice.finish_reason) or self._finish
        text = (choice and choice.delta.content) or ""
        if text:
            self._pieces.append(text)
            if self._first is None:
                self._first = self._clock()
                self._call.first_token()
        return text

    def end(self) -> Usage:
        """What the answer used up; it stands in the span as well."""
        self._call.usage(*self._tokens)
        self._call.finish(self._finish or "stop", self._model)
        self._call.answered("".join(self._pieces))
        return Usage(
            self._model,
            *self._tokens,
            elapsed=timedelta(seconds=self._clock() - self._started),
            time_to_first_token=None if self._first is None else timedelta(seconds=self._first - self._started),
        )


def _role(message: Message) -> str:
    return "assistant" if message.role is Role.AGENT else "user"


def _asked(messages: tuple[Message, ...], system: str) -> list[ChatCompletionMessageParam]:
    asked: list[ChatCompletionMessageParam] = []
    if system:
        asked.append(ChatCompletionSystemMessageParam(role="system", content=system))
    for message in messages:
        if message.role is Role.AGENT:
            asked.append(ChatCompletionAssistantMessageParam(role="assistant", content=message.text))
        else:
            asked.append(ChatCompletionUserMessageParam(role="user", content=message.text))
    return asked


@contextmanager
def _our_errors(settings: ModelSettings) -> Iterator[None]:
    try:
        yield
    except APIError as error:
        raise _our_error(error, settings) from error


def _our_error(error: APIError, settings: ModelSettings) -> LmosError:
    # Never the server's own text: it may quote what the caller wrote, or the key.
    where = settings.base_url
    if isinstance(error, APIConnectionError):
        return ModelUnavailableError(f"the model server at {where} does not answer, or broke off", model=settings.name)
    if not isinstance(error, APIStatusError):
        return ModelUnavailableError(f"the model server at {where} broke off its answer", model=settings.name)
    status = error.status_code
    if status in _MISCONFIGURED:
        return ModelNotConfiguredError(
            f"the model server at {where} refuses the key or the model {settings.name!r} (HTTP {status}): "
            "check OPENAI_API_KEY and the name of the model"
        )
    if status in _TRY_AGAIN or status >= _SERVER_FAULT:
        return ModelUnavailableError(f"the model server at {where} answered HTTP {status}", model=settings.name)
    return AgentFailedError(f"the model server at {where} refuses the request (HTTP {status})")
