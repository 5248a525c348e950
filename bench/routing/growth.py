"""How time and memory of a decision grow with the mesh: a process of its own for each size."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from pathlib import Path

from lmos_grpc.domain.card import AgentCard, Capability
from lmos_grpc.routing import LexicalEmbeddingClassifier, Offer, learning_in_background

_EACH = 10
_DECISIONS = 2_000
_VOCABULARY = 4_000
_SYLLABLES = ("ba", "de", "fi", "go", "ku", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "wo", "zu", "cha", "sto")


def _words(chance: random.Random) -> list[str]:
    return ["".join(chance.choices(_SYLLABLES, k=chance.randint(2, 4))) for _ in range(_VOCABULARY)]


def _card(number: int, phrases: int, words: list[str], chance: random.Random) -> AgentCard:
    def capability(at: int) -> Capability:
        topic = chance.sample(words, 12)
        said = (" ".join((*chance.sample(topic, 4), *chance.sample(words, 4))) for _ in range(phrases))
        return Capability(f"c{at}", "1.0.0", " ".join(topic), examples={"en": tuple(said)})

    return AgentCard(f"agent-{number}", "1.0.0", capabilities=tuple(map(capability, range(_EACH))))


async def measure(capabilities: int, phrases: int) -> dict[str, float]:
    """Milliseconds, seconds and megabytes of a mesh of that size."""
    chance = random.Random(3)  # noqa: S311 - words that can be drawn again
    words = _words(chance)
    cards = [_card(number, phrases, words, chance) for number in range(capabilities // _EACH)]
    async with learning_in_background(LexicalEmbeddingClassifier()) as learning:
        began = time.perf_counter()
        learning.sync({each.key: each for each in cards})
        await learning.settled()
        learnt = time.perf_counter() - began
        offers = frozenset(offer for card in cards for offer in Offer.of(card))
        learning.rank("warm", "", offers)
        times = sorted(_timed(learning, words, chance, offers) for _ in range(_DECISIONS))
        new = _card(capabilities, phrases, words, chance)
        text = new.capabilities[0].examples["en"][0]
        offers |= frozenset(Offer.of(new))
        began = time.perf_counter()
        learning.sync({new.key: new})
        while learning.rank(text, "", offers)[0].offer.agent != new.name:  # noqa: ASYNC110 - as a caller asks
            await asyncio.sleep(0.005)
        changed = time.perf_counter() - began
    return {
        "p50_ms": times[len(times) // 2],
        "p99_ms": times[len(times) * 99 // 100],
        "learnt_s": learnt,
        "new_agent_s": changed,
        "memory_mb": _memory_mb(),
    }


def _memory_mb() -> float:
    return int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * 4_096 / 1e6


def _timed(learning: object, words: list[str], chance: random.Random, offers: frozenset[Offer]) -> float:
    text = " ".join(chance.sample(words, 8))
    began = time.perf_counter()
    learning.rank(text, "", offers)  # type: ignore[attr-defined]  # any classifier
    return (time.perf_counter() - began) * 1_000


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(measure(int(sys.argv[1]), int(sys.argv[2])))))
