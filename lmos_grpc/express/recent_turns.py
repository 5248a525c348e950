"""The turns that took the express lane lately: a turn that comes again goes where it went before."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmos_grpc.domain.conversation import TurnKey
    from lmos_grpc.domain.decision import Target


class RecentTurns:
    """Remembers the last `most` turns and who got each."""

    def __init__(self, *, most: int = 20_000) -> None:
        self._most = most
        self._targets: OrderedDict[TurnKey, Target] = OrderedDict()

    def add(self, key: TurnKey, target: Target) -> None:
        """Remembers a turn."""
        self._targets[key] = target
        if len(self._targets) > self._most:
            self._targets.popitem(last=False)

    def target(self, key: TurnKey) -> Target | None:
        """Who got the turn, or None where it is not known."""
        return self._targets.get(key)
