"""Reception: connects callers to a person, and says goodbye. On the telephone only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.reception import phrases
from agents.telco_data import language_of, spoken
from lmos_grpc import Agent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc import EventBody, Turn

PEOPLE = "service-desk"
CONNECTING = {
    "en": "I will connect you to one of my colleagues. Thank you for calling, and have a nice day.",
    "de": "Ich verbinde Sie mit einer Kollegin. Vielen Dank für Ihren Anruf, und einen schönen Tag.",
}
GOODBYE = {
    "en": "Thank you for calling. Goodbye.",
    "de": "Vielen Dank für Ihren Anruf. Auf Wiederhören.",
}

agent = Agent(
    "reception-agent",
    version="1.0.0",
    description="Connects callers to a person and ends calls.",
    provider="Service desk team",
    locales=("en", "de"),
    channels=("ivr",),
)


@agent.capability(
    "speak-to-a-person",
    version="1.0.0",
    name="Speak to a person",
    description="Connects the caller to a person at the service desk.",
    examples=phrases.SPEAK_TO_A_PERSON,
)
async def speak_to_a_person(turn: Turn) -> AsyncIterator[str | EventBody]:
    """Says what comes, and transfers the call once that was heard."""
    async for piece in spoken(CONNECTING[language_of(turn.text, turn.locale)]):
        yield piece
    yield turn.transfer(PEOPLE, queue=True, summary="The caller asked for a person.")


@agent.capability(
    "hang-up",
    version="1.0.0",
    name="Hang up",
    description="Says goodbye and ends the call.",
    examples=phrases.HANG_UP,
)
async def hang_up(turn: Turn) -> AsyncIterator[str | EventBody]:
    """Says goodbye, and ends the call once that was heard."""
    async for piece in spoken(GOODBYE[language_of(turn.text, turn.locale)]):
        yield piece
    yield turn.hang_up(summary="The caller said goodbye.")
