"""Text as it is said: without marks that are only for eyes, and with amounts in words."""

from __future__ import annotations

import re

_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_URL = re.compile(r"https?://\S+")
_MARKS = re.compile(r"[*_`#>|~“”„\"()\[\]{}]+")
_LIST_MARK = re.compile(r"^\s*(?:[-•*]|\d+\.)\s+", re.MULTILINE)
_PICTURES = re.compile("[\U0001f000-\U0001faff☀-➿️‍]")
_EURO_FIRST = re.compile(r"€\s?(\d[\d,]*)(?:\.(\d\d))?")
_EURO_LAST = re.compile(r"(\d[\d.]*)(?:,(\d\d))?\s?€")
_CODE = re.compile(r"\b([A-Z]{1,3})-(\d+)\b")
_MINUS = re.compile(r"(?<!\w)-(?=\d)")
_SPACES = re.compile(r"\s+")
_UNITS = {"en": ("euros", "minus"), "de": ("Euro", "minus")}


def spoken_text(text: str, locale: str) -> str:
    """The text for a synthesiser; empty where there is nothing to say."""
    euros, minus = _UNITS.get(locale.lower().partition("-")[0], _UNITS["en"])
    text = _URL.sub("", _LINK.sub(r"\1", text))
    text = _PICTURES.sub("", _LIST_MARK.sub("", text))
    text = _EURO_FIRST.sub(lambda amount: _amount(amount, ",", euros), text)
    text = _EURO_LAST.sub(lambda amount: _amount(amount, ".", euros), text)
    text = _CODE.sub(lambda code: f"{code[1]} {' '.join(code[2])}", text)
    text = _MINUS.sub(f"{minus} ", _MARKS.sub(" ", text)).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return _SPACES.sub(" ", text).strip(" -\N{EN DASH},;:")


def _amount(amount: re.Match[str], thousands: str, euros: str) -> str:
    whole, cents = amount[1].replace(thousands, ""), amount[2]
    return f"{whole} {euros}" if not cents or cents == "00" else f"{whole} {euros} {int(cents)}"
