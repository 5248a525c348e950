"""Which subset a conversation falls to where a channel shares its conversations out by weight."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def drawn_subset(weights: Mapping[str, int], *, channel: str, conversation_id: str) -> str:
    """The subset of a conversation: the same for all of its turns, on every machine, and by the weights over many.

    Weighted rendezvous hashing (Schindelhauer and Schomaker, SPAA 2005): where weights move, only conversations that
    the subset with the higher weight gains move with them. At least one weight must be above 0.
    """

    def cost(subset: str) -> float:
        named = f"{channel}\0{subset}\0{conversation_id}".encode("utf-8", "surrogatepass")
        number = int.from_bytes(hashlib.blake2b(named, digest_size=8).digest(), "big")
        return -math.log((number + 1) / 2**64) / weights[subset]

    return min(sorted(subset for subset, weight in weights.items() if weight > 0), key=cost)
