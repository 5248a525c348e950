"""The concierge chats with a model where there is one, and says so where there is none."""

from __future__ import annotations

import pytest

from agents.concierge import agent as concierge
from lmos_grpc.domain.event import TextDelta
from lmos_grpc.sdk import ModelSettings
from tests.fakes.model_server import ModelServer, serve_model
from tests.fakes.served_agent import served


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.telco_data.speech.WORD_PAUSE_SECONDS", 0)


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        (
            "hello",
            "Hello, good to have you here! I can only chat in set phrases, since no language model is connected.",
        ),
        ("thanks a lot", "You are welcome!"),
        ("are you a robot?", "I am the concierge, a program."),
        ("danke schön", "Sehr gern! Plaudern kann ich nur in festen Sätzen, denn es ist kein Sprachmodell"),
        ("tschüss", "Auf Wiedersehen"),
    ],
)
async def test_without_a_model_it_speaks_in_set_phrases_and_says_so(text: str, begins: str) -> None:
    async with served(concierge.agent) as desk:
        assert (await desk.ask("small-talk", text)).text.startswith(begins)


async def test_with_a_model_its_answer_is_streamed_as_it_comes() -> None:
    async with serve_model(ModelServer(pieces=("Hello", " yourself!"))) as server:
        model = ModelSettings("tiny", base_url=server.base_url)
        async with served(concierge.agent, model=model) as desk:
            answer = await desk.ask("small-talk", "hello there")
    assert [body for body in answer.bodies if isinstance(body, TextDelta)] == [
        TextDelta("Hello"),
        TextDelta(" yourself!"),
    ]
    system, user = server.asked[0].body["messages"]
    assert (user["role"], user["content"]) == ("user", "hello there")
    assert "never make anything up" in system["content"]


@pytest.mark.parametrize(
    ("text", "says"), [("what can you do?", "“Where is my parcel?”"), ("Hilfe", "Wo ist mein Paket")]
)
async def test_it_tells_what_can_be_asked(text: str, says: str) -> None:
    async with served(concierge.agent) as desk:
        assert says in (await desk.ask("what-can-you-do", text, locale="de" if text == "Hilfe" else "")).text
