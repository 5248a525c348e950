"""How well words fit a capability: the share of them that its card uses too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lmos_grpc.domain.card import AgentCard, AgentKey, Capability
    from lmos_grpc.domain.instance import Agent

_WORD = re.compile(r"\w+")


class WordOverlap:
    """Scores capabilities, and remembers the words of each until its card changes."""

    def __init__(self) -> None:
        self._words: dict[AgentKey, tuple[AgentCard, dict[str, frozenset[str]]]] = {}

    def score(self, text: str, agent: Agent, capability: Capability) -> float:
        """The share of the words of a text that occur in the capability: 1 for an empty text, 0 for no word."""
        if not text:
            return 1.0
        wanted = _words_of([text])
        if not wanted:
            return 0.0
        return len(wanted & self._words_in(agent.card, capability)) / len(wanted)

    def forget(self, key: AgentKey) -> None:
        """Forgets the words of an agent that is gone."""
        self._words.pop(key, None)

    def _words_in(self, card: AgentCard, capability: Capability) -> frozenset[str]:
        read_card, known = self._words.get(card.key, (card, {}))
        if read_card is not card:
            known = {}
        self._words[card.key] = (card, known)
        if capability.id not in known:
            known[capability.id] = _words_of(_texts_of(capability))
        return known[capability.id]


def _words_of(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(word for text in texts for word in _WORD.findall(text.casefold()))


def _texts_of(capability: Capability) -> Iterator[str]:
    yield from (capability.id, capability.name, capability.description, *capability.tags)
    for phrases in capability.examples.values():
        yield from phrases
