"""All branches work at once, and are heard one after the other: a caller on the telephone has one ear."""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING

from lmos_grpc.orchestrator.fan_out import FanOut
from lmos_grpc.orchestrator.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from lmos_grpc.agent_service import Emit
    from lmos_grpc.orchestrator.branch import Branch
    from lmos_grpc.orchestrator.fan_out import Runner
    from lmos_grpc.rpc import Inflow

# So many events a branch may hold back while another one is heard; then its agent pauses.
_MOST_WAITING = 256


class OneVoice(FanOut):
    """Gives each branch its place in the order of the decision; the first one is heard as it speaks."""

    def __init__(self, branches: Sequence[Branch], emit: Emit, budget: timedelta) -> None:
        super().__init__(branches, emit, budget)
        self._places: deque[_Place] = deque()

    def _gate(self, _runner: Runner) -> Gate:
        place = _Place(self._emit)
        if not self._places:
            place.open()
        self._places.append(place)
        return place

    def _on_end(self, runner: Runner) -> None:
        if isinstance(runner.gate, _Place):
            runner.gate.left = True
        while self._places and self._places[0].left:
            self._places.popleft()
            if self._places:
                self._places[0].open()


class _Place(Gate):
    """Holds back what a branch says while another one is heard; nothing is dropped, because the agent pauses."""

    def __init__(self, emit: Emit) -> None:
        super().__init__(emit, most_bytes=sys.maxsize)
        self._paused: dict[Inflow, None] = {}
        self.left = False

    @property
    def full(self) -> bool:
        """Whether the agent has to wait: for the caller, or for its turn to be heard."""
        return super().full if self.is_open else len(self.held) >= _MOST_WAITING

    def hold(self, inflow: Inflow) -> None:
        """Lets an agent wait until there is room."""
        if self.is_open:
            super().hold(inflow)
        else:
            inflow.pause()
            self._paused[inflow] = None

    def open(self) -> None:
        """Lets the branch be heard, from what was held back on."""
        super().open()
        for inflow in self._paused:
            inflow.resume()
        self._paused.clear()
