"""What callers say when they want a person, or to end the call."""

from __future__ import annotations

SPEAK_TO_A_PERSON = {
    "en": [
        "I want to speak to a person",
        "connect me to an agent",
        "give me a human please",
        "can I talk to somebody real",
        "operator",
        "transfer me to customer service",
        "I do not want to talk to a machine",
        "put me through to a colleague",
    ],
    "de": [
        "ich möchte mit einem Menschen sprechen",
        "verbinden Sie mich mit einem Mitarbeiter",
        "geben Sie mir bitte einen Menschen",
        "kann ich mit jemandem persönlich reden",
        "Vermittlung bitte",
        "stellen Sie mich zum Kundendienst durch",
        "ich will nicht mit einer Maschine reden",
        "verbinden Sie mich mit Ihrem Kollegen",
    ],
}
HANG_UP = {
    "en": [
        "goodbye then",
        "that was all, goodbye",
        "you can hang up now",
        "please end the call",
        "that is everything, bye",
        "I have no more questions, goodbye",
        "nothing else, thank you",
        "end this conversation",
    ],
    "de": [
        "das war alles, auf Wiederhören",
        "Sie können jetzt auflegen",
        "bitte beenden Sie das Gespräch",
        "auf Wiederhören",
        "ich habe keine Fragen mehr, auf Wiederhören",
        "das ist alles, vielen Dank und auf Wiederhören",
        "ich möchte jetzt auflegen",
        "beenden wir das Gespräch",
    ],
}
