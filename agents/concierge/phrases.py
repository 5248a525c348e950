"""What customers say when they want to talk, or to know what they can ask."""

from __future__ import annotations

SMALL_TALK = {
    "en": [
        "hello",
        "good morning",
        "hi there, how are you",
        "thank you very much",
        "thanks, bye",
        "nice talking to you",
        "are you a robot",
        "who am I talking to",
        "tell me a joke",
        "you are great",
    ],
    "de": [
        "hallo",
        "guten Morgen",
        "hallo, wie geht es dir",
        "vielen Dank",
        "danke, tschüss",
        "schön mit Ihnen zu reden",
        "sind Sie ein Roboter",
        "mit wem spreche ich",
        "erzähl mir einen Witz",
        "Sie sind toll",
    ],
}
WHAT_CAN_YOU_DO = {
    "en": [
        "what can you do",
        "how can you help me",
        "what can I ask you",
        "help",
        "what services do you offer here",
        "which topics do you know about",
        "I don't know what to ask",
        "show me what you can help with",
    ],
    "de": [
        "was kannst du",
        "wobei können Sie mir helfen",
        "was kann ich Sie fragen",
        "Hilfe",
        "welche Themen kennen Sie",
        "was bieten Sie hier an",
        "ich weiß nicht, was ich fragen soll",
        "zeigen Sie mir, was Sie können",
    ],
}
