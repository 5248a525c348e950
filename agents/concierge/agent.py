"""The concierge: chats, with a language model where one is configured, and tells what can be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.concierge import answers, phrases
from agents.telco_data import language_of, spoken
from lmos_grpc import Agent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc import EventBody, Turn

agent = Agent(
    "concierge-agent",
    version="1.0.0",
    description="Greets customers, makes small talk and tells what they can ask the service desk.",
    provider="Service desk team",
    locales=("en", "de"),
)


@agent.capability(
    "small-talk",
    version="1.0.0",
    name="Small talk",
    description="Answers greetings, thanks, goodbyes and questions about who is speaking.",
    examples=phrases.SMALL_TALK,
)
async def small_talk(turn: Turn) -> AsyncIterator[str | EventBody]:
    """Chats; without a model in set phrases, and says so."""
    if turn.has_model:
        async for text in turn.llm((*turn.history, turn.message), system=answers.SYSTEM_PROMPT):
            yield text
    else:
        async for piece in spoken(answers.small_talk(language_of(turn.text, turn.locale), turn.text)):
            yield piece


@agent.capability(
    "what-can-you-do",
    version="1.0.0",
    name="What can you do",
    description="Tells what the service desk can help with.",
    examples=phrases.WHAT_CAN_YOU_DO,
)
async def what_can_you_do(turn: Turn) -> AsyncIterator[str | EventBody]:
    """Tells what can be asked."""
    async for piece in spoken(answers.what_we_do(language_of(turn.text, turn.locale))):
        yield piece
