"""Cuts text that comes in pieces into what can be spoken one after the other; the first cut comes early."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ABBREVIATIONS = frozenset(
    ["mr", "mrs", "ms", "dr", "prof", "st", "no", "nr", "e.g", "i.e", "etc", "vs", "approx", "ca", "bzw", "z.b", "d.h"]
)
# Closing marks may follow; the blank after it tells that the piece is whole.
_SENTENCE = re.compile(r"[.!?…]+[\"'”\u2019)\]]*(?=\s)|\n+")
_CLAUSE = re.compile(r"[,;:\u2013—](?=\s)")
_CONJUNCTION = re.compile(r"\s(?=(?:and|or|but|because|which|that|und|oder|aber|weil|dass)\s)")
_FIRST_CLAUSE_WORDS = 3
_FIRST_WORDS_BEFORE_CONJUNCTION = 5
_FIRST_WORDS = 12
_LONGEST = 320


@dataclass(slots=True)
class ClauseSplitter:
    """The text of one answer."""

    _text: str = ""
    _spoke: bool = False

    def feed(self, text: str) -> list[str]:
        """Takes a piece in; gives what can be spoken now."""
        self._text += text
        ready = []
        while end := self._cut():
            ready.append(self._text[:end].strip())
            self._text = self._text[end:]
            self._spoke = self._spoke or bool(ready[-1])
        return [each for each in ready if each]

    def rest(self) -> str:
        """What is left at the end of the answer."""
        rest, self._text = self._text.strip(), ""
        return rest

    def _cut(self) -> int:
        cuts = [self._sentence(), 0 if self._spoke else self._first_clause()]
        if any(cuts):
            return min(filter(None, cuts))
        return self._text.rfind(" ", 0, _LONGEST) + 1 if len(self._text) > _LONGEST else 0

    def _sentence(self) -> int:
        for match in _SENTENCE.finditer(self._text):
            if match[0].startswith("\n") or not self._abbreviates(match.start()):
                return match.end()
        return 0

    def _abbreviates(self, stop: int) -> bool:
        word = re.split(r"[\s(]", self._text[:stop])[-1].lower()
        # "1." counts a list, and "3." may be a date in German: neither is the end of a sentence.
        return word in _ABBREVIATIONS or word.isdigit() or (len(word) == 1 and word.isalpha())

    def _first_clause(self) -> int:
        for match in _CLAUSE.finditer(self._text):
            if len(self._text[: match.end()].split()) >= _FIRST_CLAUSE_WORDS:
                return match.end()
        for match in _CONJUNCTION.finditer(self._text):
            if len(self._text[: match.end()].split()) >= _FIRST_WORDS_BEFORE_CONJUNCTION:
                return match.end()
        words = self._text.split()
        return self._text.rstrip().rfind(" ") + 1 if len(words) > _FIRST_WORDS else 0
