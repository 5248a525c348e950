"""Where, in the words of a text, one request may end and the next begin; English and German."""

from __future__ import annotations

import re
from heapq import nsmallest
from typing import NamedTuple

# What people say between two requests.
_JOINT = (
    r"(?:(?:and|but) (?:first|next)|and|also|then|plus|but|oh|besides|as well as|by the way|btw|after (?:that|this)"
    r"|(?:one more|another) thing|in addition|while (?:you're|i'm) at it"
    r"|(?:und|aber) zuerst|und|auch|dann|aber|sowie|außerdem|ausserdem|übrigens|danach|ach ja|noch (?:et)?was)"
    r"\b[,:]?\s*"
)
# What a request begins with, where they say nothing between the two.
_OPENER = (
    r"(?:(?:what|how|where|when|who|why)(?:['\u2019]?s)?|which|please|(?:tell|show|give|remind) me|let me know|set"
    r"|i['\u2019](?:d|m|ll)|i (?:want|need|would|have|am|will)"
    r"|(?:can|could|would|will|do|did|does) (?:you|i|we|my|the|it)|(?:is|are) (?:there|my|the|it|you|this)"
    r"|was|wie|wo|wann|wer|warum|wieso|welche[nrs]?|bitte|gibt es|ich (?:will|möchte|brauche|habe)"
    r"|(?:kann|darf|muss) ich|(?:kannst|könntest) du|(?:können|könnten) sie)\b"
)
_SPOKEN = re.compile(rf"(?:(?<=[.?!;]) |\n)(?:{_JOINT})*|,? (?:{_JOINT})+|, ", re.IGNORECASE)
_UNSPOKEN = re.compile(rf" (?={_OPENER})", re.IGNORECASE)
# After these a sentence goes on, whatever comes next.
_LEADS_ON = frozenset(
    """
    a about am an and also at be but by can could did do does find for from hey how i if in is it it's know me my
    no not of ok okay on or out please remember say see should so tell that the then to understand us was well
    what when where who why will with would yes you
    aber auch bitte dann dass der die das für ich ist ja mein meine mir mit nein ob oder sie und von was wann
    warum wie wissen wo zu
    """.split()  # noqa: SIM905 - words, to be read as a text
)
_POINTS_BACK = re.compile(
    r"\b(?:it|its|them|they|him|her|another|es|ihn|ihm|ihr|ihnen|davon|damit|dafür|daran)\b"
    r"|\b(?:why|how|where|when|help(?: me)?|i do|warum|wieso|wie|wo|wann|helfen|ich (?:jetzt )?(?:tun|machen))\W*\Z",
    re.IGNORECASE,
)
# "Good morning, my internet is down, thank you" is one request.
_COURTESY = re.compile(
    r"\W*(?:hello|hi|hey|good (?:morning|day|afternoon|evening)|thanks|thank you|many thanks|goodbye|bye|ok|okay|sorry"
    r"|well|hallo|guten (?:morgen|tag|abend)|moin|servus|danke|vielen dank|bitte|ja|nein|tschüss|auf wiedersehen)"
    r"\b(?:\W+\w+){0,2}\W*",
    re.IGNORECASE,
)
# Between the parts there are several words; one word, or a sentence ends; a comma, or nothing.
_BY_LITTLE, _AHEAD, _FAR_AHEAD = 0.5, 1.5, 4.5
_MOST_SPOKEN = 4
_MOST_UNSPOKEN = 2


class Cut(NamedTuple):
    """A place where a text may be cut: one part ends at `start`, the next begins at `end`.

    `ahead` is by how much the log odds of the parts together have to exceed those of the whole: the less that is said
    at the place, the more.
    """

    start: int
    end: int
    ahead: float


def spoken_cuts(text: str) -> list[Cut]:
    """The places where a sentence ends or a word or comma joins two; the four that say most, in their order."""
    found = (Cut(*each.span(), _needed(each[0])) for each in _SPOKEN.finditer(text) if _may_cut(text, each))
    return sorted(nsmallest(_MOST_SPOKEN, found, key=lambda cut: cut.ahead))


def unspoken_cuts(text: str) -> list[Cut]:
    """The places where nothing but the next words says that something new begins; the two nearest to the middle."""
    found = (Cut(*each.span(), _FAR_AHEAD) for each in _UNSPOKEN.finditer(text) if _may_begin(text, each))
    return nsmallest(_MOST_UNSPOKEN, found, key=lambda cut: abs(2 * cut.start - len(text)))


def points_back(text: str) -> bool:
    """Whether the text needs what was said before it to be understood."""
    return _POINTS_BACK.search(text) is not None


def _needed(joint: str) -> float:
    if joint == ", ":
        return _FAR_AHEAD
    return _BY_LITTLE if " " in joint.strip(" ,\n") else _AHEAD


def _may_cut(text: str, joint: re.Match[str]) -> bool:
    if joint[0].strip(" ,\n"):
        return True
    comma, sides = joint[0] == ", ", (text[: joint.start()], text[joint.end() :])
    if any(_COURTESY.fullmatch(each) and (comma or " " not in each.strip()) for each in sides):
        return False
    return not comma or _stand_alone(text, joint)


def _may_begin(text: str, place: re.Match[str]) -> bool:
    return _stand_alone(text, place) and text[: place.start()].rsplit(maxsplit=1)[-1].lower() not in _LEADS_ON


def _stand_alone(text: str, place: re.Match[str]) -> bool:
    return " " in text[: place.start()].strip() and " " in text[place.end() :].strip()
