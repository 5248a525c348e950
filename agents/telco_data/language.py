"""The language that a customer is answered in: English or German."""

from __future__ import annotations

import re
from typing import Literal

Language = Literal["en", "de"]


def words(text: str) -> frozenset[str]:
    """The words of a text, in small letters."""
    return frozenset(re.findall(r"[\w']+", text.lower()))


# Words that are frequent in the one language and no words of the other.
_GERMAN = words(
    "ich mein meine meinen meinem meiner mir mich ist sind nicht warum wieso wie wo wann und oder der das den dem "
    "ein eine einen kann bitte habe hat möchte will wird bei auf für mit zu zum zur seit von vom sie ihr ihre wir "
    "danke hallo ja nein kein keine wurde geht rechnung vertrag kündigen paket bestellung störung welche gibt heute "
    "morgen letzten monat guten tag tschüss kostet kosten"
)
_ENGLISH = words(
    "i my me is are not why how where when and or the a an can could please have has would it its on for with to "
    "since of your you we thanks thank hello yes no don't doesn't does do did bill contract cancel parcel order "
    "which what there this that today tomorrow month from"
)


def language_of(text: str, locale: str = "") -> Language:
    """The language of the text; where the text does not tell, that of the locale; otherwise English."""
    said = words(text)
    german, english = len(said & _GERMAN), len(said & _ENGLISH)
    if german != english:
        return "de" if german > english else "en"
    return "de" if locale.lower().partition("-")[0] == "de" else "en"
