"""What the edge says by itself, when the mesh cannot or need not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phrases:
    """The edge's own words in one language. Reprompts escalate: the last one stands for all that follow."""

    greeting: str
    filler: str
    no_input: tuple[str, ...]
    no_match: tuple[str, ...]
    apology: str
    reconnecting: str
    nobody_there: str
    nothing_heard: str

    @property
    def all(self) -> tuple[str, ...]:
        """Every phrase, to be made speech of before the first call."""
        single = (self.greeting, self.filler, self.apology, self.reconnecting, self.nobody_there, self.nothing_heard)
        return (*single, *self.no_input, *self.no_match)


_ENGLISH = Phrases(
    greeting="Welcome to our service desk. How can I help you?",
    filler="One moment, please.",
    no_input=("Are you still there? How can I help you?", "I still cannot hear you. Please say what you would like."),
    no_match=("Sorry, I did not understand. Please say it again.", "Sorry, please say it in other words."),
    apology="Sorry, that did not work. Please try again.",
    reconnecting="Sorry, please hold the line for a moment.",
    nobody_there="I am sorry, we cannot help you here right now. I will connect you to a colleague.",
    nothing_heard="I cannot hear you, so I end the call now. Goodbye.",
)
_GERMAN = Phrases(
    greeting="Willkommen bei unserem Service. Wie kann ich Ihnen helfen?",
    filler="Einen Moment, bitte.",
    no_input=(
        "Sind Sie noch da? Wie kann ich Ihnen helfen?",
        "Ich höre Sie noch immer nicht. Bitte sagen Sie, was Sie möchten.",
    ),
    no_match=(
        "Das habe ich nicht verstanden. Bitte sagen Sie es noch einmal.",
        "Bitte sagen Sie es mit anderen Worten.",
    ),
    apology="Das hat leider nicht geklappt. Bitte versuchen Sie es noch einmal.",
    reconnecting="Bitte bleiben Sie einen Moment in der Leitung.",
    nobody_there="Es tut mir leid, im Moment können wir Ihnen hier nicht helfen. Ich verbinde Sie weiter.",
    nothing_heard="Ich kann Sie nicht hören und beende das Gespräch. Auf Wiederhören.",
)


def phrases_in(locale: str) -> Phrases:
    """The phrases of a language; English where there are none."""
    return _GERMAN if locale.lower().startswith("de") else _ENGLISH
