"""`turn.llm` against a model server on a real socket."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lmos_grpc import (
    Agent,
    AgentSettings,
    MeshClient,
    Message,
    ModelSettings,
    TextDelta,
    TurnDone,
    Usage,
    serve_agent,
)
from lmos_grpc.domain.turn import Role, TextPart
from lmos_grpc.errors import AgentFailedError, ModelNotConfiguredError, ModelUnavailableError
from tests.fakes.model_server import ModelServer, serve_model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc import EventBody, LmosError, Turn

LIMIT = timedelta(seconds=10)
agent = Agent("concierge", version="1.0.0")


@agent.capability("chat", version="1.0.0")
async def chat(turn: Turn) -> AsyncIterator[str | EventBody]:
    """Passes on what the model says."""
    async for text in turn.llm((*turn.history, turn.message), system="Be kind."):
        yield text


@agent.capability("give-up", version="1.0.0")
async def give_up(turn: Turn) -> AsyncIterator[str]:
    """Leaves its stream after the first piece, and is in no hurry afterwards."""
    async for text in turn.llm(turn.text, model="other"):
        yield text
        break
    yield "done"


def settings_for(server: ModelServer) -> AgentSettings:
    model = ModelSettings("tiny", base_url=server.base_url, api_key="key-1", retries=0)
    return AgentSettings(mesh=None, model=model, drain_timeout=timedelta(seconds=2))


async def bodies_of(server: ModelServer, *, history: tuple[Message, ...] = ()) -> list[EventBody]:
    async with (
        serve_model(server),
        serve_agent(agent, settings_for(server)) as served,
        MeshClient(served.address) as client,
    ):
        events = client.invoke("hi", history=history, timeout=LIMIT)
        return [event.body async for event in events]


async def test_the_answer_streams_and_its_tokens_are_told() -> None:
    bodies = await bodies_of(ModelServer())
    assert [body.text for body in bodies if isinstance(body, TextDelta)] == ["Hello", " there"]
    [usage] = [body for body in bodies if isinstance(body, Usage)]
    assert (usage.model, usage.input_tokens, usage.output_tokens) == ("tiny-1.5", 12, 3)
    assert usage.elapsed is not None
    assert usage.time_to_first_token is not None
    assert usage.time_to_first_token <= usage.elapsed
    done = bodies[-1]
    assert isinstance(done, TurnDone)
    assert (done.usage.model, done.usage.input_tokens, done.usage.output_tokens) == ("tiny-1.5", 12, 3)


async def test_the_model_is_asked_with_key_system_prompt_and_history() -> None:
    server = ModelServer()
    before = (Message.from_user("hello"), Message(Role.AGENT, (TextPart("good day"),)))
    await bodies_of(server, history=before)
    [asked] = server.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == "Bearer key-1"
    assert asked.body["model"] == "tiny"
    assert asked.body["stream_options"] == {"include_usage": True}
    assert [(each["role"], each["content"]) for each in asked.body["messages"]] == [
        ("system", "Be kind."),
        ("user", "hello"),
        ("assistant", "good day"),
        ("user", "hi"),
    ]


async def test_a_server_that_counts_no_tokens_is_no_problem() -> None:
    bodies = await bodies_of(ModelServer(tokens=None))
    [usage] = [body for body in bodies if isinstance(body, Usage)]
    assert (usage.input_tokens, usage.output_tokens) == (0, 0)


async def test_cancelling_the_turn_closes_the_http_stream_at_once() -> None:
    server = ModelServer(hold=True)
    async with (
        serve_model(server),
        serve_agent(agent, settings_for(server)) as served,
        MeshClient(served.address) as client,
    ):
        took = []
        for _ in range(5):
            server.client_left.clear()
            async with aclosing(client.invoke("hi", timeout=LIMIT)) as events:
                async for event in events:
                    if event.body == TextDelta(" there"):
                        break
                left_at = time.monotonic()
            await asyncio.wait_for(server.client_left.wait(), 5)
            took.append(time.monotonic() - left_at)
    assert min(took) < 0.1  # the machine has other work, too


async def test_a_stream_that_is_left_early_is_closed_with_the_turn() -> None:
    server = ModelServer(hold=True)
    async with (
        serve_model(server),
        serve_agent(agent, settings_for(server)) as served,
        MeshClient(served.address) as client,
    ):
        assert await client.ask("hi", capability="give-up", timeout=LIMIT) == "Hellodone"
        await asyncio.wait_for(server.client_left.wait(), 5)
    assert server.asked[0].body["model"] == "other"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (500, ModelUnavailableError),
        (429, ModelUnavailableError),
        (401, ModelNotConfiguredError),
        (404, ModelNotConfiguredError),
        (400, AgentFailedError),
    ],
)
async def test_a_refusal_has_a_class_and_never_the_words_of_the_server(status: int, expected: type[LmosError]) -> None:
    server = ModelServer(status=status)
    async with (
        serve_model(server),
        serve_agent(agent, settings_for(server)) as served,
        MeshClient(served.address) as client,
    ):
        with pytest.raises(expected, match=str(status)) as caught:
            await client.ask("hi", timeout=LIMIT)
    assert "secret" not in caught.value.message


async def test_an_answer_that_breaks_off_is_an_error_after_its_text() -> None:
    server = ModelServer(breaks=True)
    async with (
        serve_model(server),
        serve_agent(agent, settings_for(server)) as served,
        MeshClient(served.address) as client,
    ):
        with pytest.raises(ModelUnavailableError):
            await client.ask("hi", timeout=LIMIT)


async def test_a_server_that_is_away_is_an_error() -> None:
    server = ModelServer()
    async with serve_model(server):
        pass
    async with serve_agent(agent, settings_for(server)) as served, MeshClient(served.address) as client:
        with pytest.raises(ModelUnavailableError, match="does not answer"):
            await client.ask("hi", timeout=LIMIT)


def test_a_key_never_prints() -> None:
    assert "sk-" not in repr(ModelSettings("tiny", api_key="sk-secret"))
    assert "sk-" not in repr(AgentSettings(model=replace(ModelSettings("tiny"), api_key="sk-secret")))
