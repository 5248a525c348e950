"""How the desk speaks: money, dates, lists, and answers in pieces."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from agents.telco_data.language import words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import date

    from agents.telco_data.language import Language
    from agents.telco_data.records import Customer

WORD_PAUSE_SECONDS = 0.008  # about as fast as a language model writes

_MONTHS: dict[Language, str] = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
}
_YES = words("yes yeah yep sure confirm ok okay definitely ja jawohl gern gerne bestätige bestätigen klar")
_NO = words("no nope not don't keep stop never nein nicht doch behalten abbrechen niemals")


def introduction(language: Language, customer: Customer) -> str:
    """Says whose data the answer is about, where the caller is not known."""
    if not customer.assumed:
        return ""
    if language == "de":
        return f"Ich kenne Ihre Kundennummer nicht und zeige unsere Demo-Kundin {customer.name} ({customer.id}). "
    return f"I do not know your customer number, so this is our demo customer, {customer.name} ({customer.id}). "


async def spoken(text: str) -> AsyncIterator[str]:
    """The text word by word, as a model would write it."""
    for piece in re.findall(r"\s*\S+\s*$|\s*\S+", text):
        yield piece
        await asyncio.sleep(WORD_PAUSE_SECONDS)


def money_in(language: Language, cents: int) -> str:
    """An amount: `€1,081.86` or `1.081,86 €`."""
    sign = "-" if cents < 0 else ""
    amount = f"{abs(cents) / 100:,.2f}"
    if language == "en":
        return f"{sign}€{amount}"
    return f"{sign}{amount.translate(str.maketrans(',.', '.,'))} €"


def date_in(language: Language, day: date) -> str:
    """A day: `14 March 2025` or `14. März 2025`."""
    dot = "." if language == "de" else ""
    return f"{day.day}{dot} {month_in(language, day)} {day.year}"


def month_in(language: Language, day: date) -> str:
    """The name of the month."""
    return _MONTHS[language].split()[day.month - 1]


def list_in(language: Language, items: Sequence[str]) -> str:
    """Some things: `one`, `one and two`, `one, two and three`."""
    conjunction = " und " if language == "de" else " and "
    return conjunction.join(filter(None, (", ".join(items[:-1]), items[-1])))


def said_yes(text: str) -> bool | None:
    """Whether words say yes or no; None where they say neither, or both."""
    yes, no = bool(words(text) & _YES), bool(words(text) & _NO)
    return None if yes == no else yes


def choice_of(option_id: str, text: str, options: Mapping[str, str]) -> str | None:
    """The option that was chosen: by its id, by its label in words, or by its place (`2`); None where none was."""
    if option_id:
        return option_id if option_id in options else None
    said = text.lower().strip(" .!")
    if said.isdecimal() and 1 <= int(said) <= len(options):
        return list(options)[int(said) - 1]
    named = [each for each, label in options.items() if label.lower() in said or (said and said in label.lower())]
    return named[0] if len(named) == 1 else None
