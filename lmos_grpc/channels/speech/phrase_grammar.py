"""What a recogniser with a grammar listens for: whole phrases, as customers say them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


def words_of(phrase: str) -> tuple[str, ...]:
    """The words as they are spoken, in lower case; none where the phrase holds figures, which are read in many ways."""
    if any(char.isdigit() for char in phrase):
        return ()
    return tuple(_WORD.findall(phrase.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")))


def speakable(phrases: Iterable[str], knows: Callable[[str], bool]) -> dict[str, str]:
    """Each phrase by its words, as far as the recogniser knows how all of them sound."""
    spoken = {" ".join(words_of(phrase)): phrase for phrase in phrases}
    return {words: phrase for words, phrase in spoken.items() if words and all(map(knows, words.split()))}


def jsgf(spoken: Iterable[str]) -> str:
    """The grammar in the Java Speech Grammar Format (https://www.w3.org/TR/jsgf/): one of the phrases."""
    choices = " | ".join(sorted(spoken))
    return f"#JSGF V1.0;\ngrammar phrases;\npublic <phrase> = {choices};\n"
