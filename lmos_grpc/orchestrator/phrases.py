"""What the mesh itself says to users, by language."""

from __future__ import annotations

_FALLBACK = "en"
_PHRASES = {
    "clarify": {
        "en": "I can help with more than one of these. Which one do you mean?",
        "de": "Dabei kann ich auf mehrere Arten helfen. Was meinen Sie?",
    },
    "abstain": {
        "en": "I am sorry, none of us here can help with that.",
        "de": "Das tut mir leid, dabei kann hier niemand helfen.",
    },
}


def phrase(name: str, locale: str) -> str:
    """The phrase in the language of a BCP 47 tag, or in English."""
    language = locale.partition("-")[0].lower()
    texts = _PHRASES[name]
    return texts.get(language, texts[_FALLBACK])
