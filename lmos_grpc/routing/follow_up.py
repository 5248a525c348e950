"""What short texts in a conversation refer to: an option that was offered, or what was said before."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lmos_grpc.routing.text_features import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmos_grpc.domain.event import ClarificationOption

_ORDINALS = tuple(
    frozenset(words(each))
    for each in (
        "1st first erste ersten erster erstes",
        "2nd second zweite zweiten zweiter zweites",
        "3rd third dritte dritten dritter drittes",
        "4th fourth vierte vierten vierter viertes",
    )
)
_LAST = frozenset(words("last letzte letzten letzter letztes"))
_FILLERS = frozenset(
    words(
        "the a an one option number no please i'd like want take mean choose would to with it is "
        "der die das den dem ein eine einen nummer bitte ich möchte nehme meine will es ist mit"
    )
)
_REPLIES = frozenset(
    words(
        "yes yeah yep no nope ok okay sure right correct exactly please thanks "
        "ja jo nein klar genau richtig stimmt bitte danke passt gut doch"
    )
)
_REFERRING = frozenset(
    words(
        "it that this these those there them they one ones again else more instead so same "
        "es das dies diese dieser diesen dazu davon dafür damit daran dort nochmal noch mehr stattdessen anders"
    )
)
_NONE = frozenset(words("neither none nothing weder keine keiner keines keins keinen nichts"))
_OF_THEM = frozenset(words("of them these those the two both davon von den beiden noch no nein"))
_SHORT = 3
_DIGITS = 3  # a longer number is no place in a list
_DISMISSAL = re.compile(
    r"^\W*(?:never ?mind|forget (?:it|that)|no,? wait|egal|vergiss (?:es|das)|schon gut|stopp?)\b[\s,.!;:]*",
    re.IGNORECASE,
)


def option_meant(text: str, options: Sequence[ClarificationOption]) -> ClarificationOption | None:
    """The option that the text names by id, by place ("the second one") or by its words; None: none, or several."""
    for option in options:
        if text.strip().casefold() in (option.id.casefold(), option.label.strip().casefold()):
            return option
    said = set(words(text))
    telling = said - _FILLERS
    place = _place(telling, len(options))
    if place is not None:
        return options[place]
    named = [each for each in options if telling and telling <= _words_of(each)]
    spelt = [each for each in options if len(set(words(each.label))) > 1 and set(words(each.label)) <= said]
    return next((found[0] for found in (named, spelt) if len(found) == 1), None)


def none_meant(text: str) -> bool:
    """Whether the text turns down all options: "neither", "none of these", "keins von beiden"."""
    said = set(words(text))
    return bool(said & _NONE) and said <= _NONE | _OF_THEM | _FILLERS


def is_reply(text: str) -> bool:
    """Whether the text is nothing but a yes, a no, thanks, or a number: it says nothing without what came before."""
    said = words(text)
    return bool(said) and all(each in _REPLIES or each.isdecimal() for each in said)


def is_follow_up(text: str) -> bool:
    """Whether the text leans on what came before: a few words, or a word that refers back."""
    return len(words(text)) <= _SHORT or refers_back(text)


def refers_back(text: str) -> bool:
    """Whether a word of the text stands for something that was said before."""
    return not _REFERRING.isdisjoint(words(text))


def after_dismissal(text: str) -> str | None:
    """What is left of the text after "never mind" or the like; None: it does not begin so."""
    found = _DISMISSAL.match(text)
    return text[found.end() :] if found else None


def _place(telling: set[str], count: int) -> int | None:
    if len(telling) != 1:
        return None
    [said] = telling
    if said in _LAST:
        return count - 1 if count else None
    named = next((place for place, names in enumerate(_ORDINALS) if said in names), None)
    place = int(said) - 1 if said.isdecimal() and len(said) < _DIGITS else named
    return place if place is not None and 0 <= place < count else None


def _words_of(option: ClarificationOption) -> set[str]:
    return {*words(option.label), *words(option.capability.replace("-", " ")), *words(option.agent.replace("-", " "))}
