"""The concierge chats with a model where there is one, and says so where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents.concierge import agent as concierge
from lmos_grpc.domain.event import TextDelta
from tests.fakes.served_agent import served

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from lmos_grpc.domain.event import Usage
    from lmos_grpc.domain.turn import Message


class ParrotModel:
    """A language model that says what it heard."""

    def __init__(self) -> None:
        self.system = ""

    async def stream(
        self, messages: tuple[Message, ...], *, model: str, system: str, spent: Callable[[Usage], None]
    ) -> AsyncGenerator[str, None]:
        del model, spent
        self.system = system
        for message in messages:
            yield f"{message.text}! "
            yield f"{message.text}!"


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
    model = ParrotModel()
    async with served(concierge.agent, model=model) as desk:
        answer = await desk.ask("small-talk", "hello")
    assert [body for body in answer.bodies if isinstance(body, TextDelta)] == [
        TextDelta("hello! "),
        TextDelta("hello!"),
    ]
    assert "never make anything up" in model.system


@pytest.mark.parametrize(
    ("text", "says"), [("what can you do?", "“Where is my parcel?”"), ("Hilfe", "Wo ist mein Paket")]
)
async def test_it_tells_what_can_be_asked(text: str, says: str) -> None:
    async with served(concierge.agent) as desk:
        assert says in (await desk.ask("what-can-you-do", text, locale="de" if text == "Hilfe" else "")).text
