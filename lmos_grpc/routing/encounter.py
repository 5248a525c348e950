"""Whose offers a turn may have to choose between: only those have something to learn from each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmos_grpc.domain.card import AgentCard


def may_meet(one: AgentCard, other: AgentCard) -> bool:
    """Whether offers of both can be candidates of one turn.

    Those of other versions of the same agent never are, nor those for other tenants or channels; they often have the
    very same phrases.
    """
    if one.name == other.name:
        return one is other
    return _overlap(one.tenants, other.tenants) and _overlap(one.channels, other.channels)


def _overlap(one: frozenset[str], other: frozenset[str]) -> bool:
    return not one or not other or not one.isdisjoint(other)
