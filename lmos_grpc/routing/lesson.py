"""What is learnt of an offer, thoroughly or at first glance."""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lmos_grpc.routing.calibration import NOTHING, reach
from lmos_grpc.routing.classifier import Offer
from lmos_grpc.routing.phrase_set import PhraseSet, phrases_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmos_grpc.domain.card import AgentCard
    from lmos_grpc.routing.text_features import Floats

_GLANCED_AT = 8


@dataclass(frozen=True, slots=True, eq=False)
class Machine:
    """The weights of an offer: by feature, for the vector, and alone."""

    profile: Floats
    direction: Floats
    bias: float


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What was learnt of an offer; no machine: that it is gone."""

    offer: Offer
    phrases: PhraseSet | None = None
    machine: Machine | None = None


def rough_machine(phrases: PhraseSet, count: int) -> Machine:
    """A machine for an offer of so many phrases, some of which are given, that never saw any other offer.

    It is as sure of a text as the text is like the middle of the phrases, measured by how like they are themselves.
    """
    even = np.full(len(phrases), 1 / len(phrases), dtype=np.float32)
    likeness = float(phrases.likeness(*phrases.mixture(even)).mean())
    profile, direction = phrases.mixture(even * np.float32(reach(count - 1) / max(likeness, 1e-9)))
    return Machine(profile, direction, NOTHING)


def glance(card: AgentCard, embed: Callable[[str], Floats], until: float) -> Iterator[Lesson]:
    """A rough machine from a few phrases for each offer of a card, as far as that goes until `thread_time` is there.

    Good enough for the fraction of a second that it takes to learn. Time that others took the processor for does not
    count: on a busy machine a part of the offers would be missing, and their turns would go to the others.
    """
    for offer, capability in zip(Offer.of(card), card.capabilities, strict=True):
        if time.thread_time() > until:
            return
        description, *examples = phrases_of(card, capability)
        some = sorted(examples, key=lambda each: zlib.crc32(each.encode("utf-8", "surrogatepass")))[:_GLANCED_AT]
        phrases = PhraseSet.of((description, *some), embed)
        yield Lesson(offer, phrases, rough_machine(phrases, len(examples) + 1))
