"""What the concierge says by itself, in English and German, where there is no language model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.telco_data import words

if TYPE_CHECKING:
    from agents.telco_data import Language

SYSTEM_PROMPT = (
    "You are the concierge of a telephone and internet company. You chat with customers in the language that they "
    "write, warmly and in at most three sentences. You know nothing about their contracts, bills, orders or faults and "
    "never make anything up about them: colleagues answer that as soon as the customer asks for it."
)

_THANKS = words("thanks thank danke dank")
_FAREWELL = words("bye goodbye tschüss wiedersehen ciao")
_WHO = words("robot bot human who roboter mensch wer wem")


def small_talk(language: Language, text: str) -> str:
    """A set phrase that fits, and why it is one."""
    said = words(text)
    german = language == "de"
    if said & _THANKS:
        answer = "Sehr gern!" if german else "You are welcome!"
    elif said & _FAREWELL:
        answer = "Auf Wiedersehen, und einen schönen Tag!" if german else "Goodbye, and have a nice day!"
    elif said & _WHO:
        answer = "Ich bin der Concierge, ein Programm." if german else "I am the concierge, a program."
    else:
        answer = "Hallo, schön, dass Sie da sind!" if german else "Hello, good to have you here!"
    return f"{answer} {without_model(language)}"


def without_model(language: Language) -> str:
    """Says that there is no model to chat with."""
    if language == "de":
        return (
            "Plaudern kann ich nur in festen Sätzen, denn es ist kein Sprachmodell angeschlossen. "
            "Bei Rechnungen, Verträgen, Störungen und Bestellungen helfen wir Ihnen trotzdem."
        )
    return (
        "I can only chat in set phrases, since no language model is connected. "
        "We can help you with bills, contracts, faults and orders all the same."
    )


def what_we_do(language: Language) -> str:
    """What can be asked here."""
    if language == "de":
        return (
            "Damit kennen wir uns aus:\n"
            "- Rechnungen: „Warum ist meine Rechnung so hoch?“\n"
            "- Verträge und Tarife: „Welche Tarife gibt es?“\n"
            "- Störungen: „Mein Internet geht nicht.“\n"
            "- Bestellungen: „Wo ist mein Paket?“"
        )
    return (
        "This is what we know about:\n"
        "- Bills: “Why is my bill so high?”\n"
        "- Contracts and tariffs: “Which tariffs do you have?”\n"
        "- Faults: “My internet is down.”\n"
        "- Orders: “Where is my parcel?”"
    )
