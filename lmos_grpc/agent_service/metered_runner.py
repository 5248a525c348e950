"""Counts the turns of a runner: as a whole, and for each agent that they were routed to."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.domain.event import Failure, MessageDone, Outcome, Routed, TextDelta, TurnDone
from lmos_grpc.errors import LmosError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.agent_service.turn_runner import Emit, TurnRunner, TurnWork
    from lmos_grpc.domain.card import AgentCard
    from lmos_grpc.domain.decision import Decision
    from lmos_grpc.domain.event import EventBody, Source
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.telemetry import Metrics


class MeteredRunner:
    """A `TurnRunner` that counts what another one does."""

    def __init__(self, runner: TurnRunner, metrics: Metrics, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._runner = runner
        self._metrics = metrics
        self._clock = clock

    def card(self) -> AgentCard:
        """Who answers here."""
        return self._runner.card()

    async def admit(self, turn: TurnRequest, time_left: timedelta) -> TurnWork:
        """Admits a turn, and counts a refusal.

        Raises:
            LmosError: the turn is refused.
        """
        name = self.card().name
        context = turn.context
        try:
            work = await self._runner.admit(turn, time_left)
        except LmosError as error:
            self._metrics.turn_failed(name, context.tenant, context.channel, error.reason.name)
            raise
        return _MeteredTurn(work, turn, name, self._metrics, self._clock)


@dataclass(slots=True)
class _MeteredTurn:
    work: TurnWork
    turn: TurnRequest
    name: str
    metrics: Metrics
    clock: Callable[[], float]
    started: dict[str, float] = field(default_factory=dict)
    first_text: dict[str, float] = field(default_factory=dict)
    done: TurnDone | None = None

    async def __call__(self, emit: Emit, /) -> None:
        emit.observe(self._observe)
        self._start(self.name)
        failed = Outcome.FAILED
        try:
            await self.work(emit)
            failed = Outcome.COMPLETED
        except asyncio.CancelledError:
            failed = Outcome.CANCELLED
            raise
        finally:
            self._finish_all(self.done.outcome if self.done else failed)

    def _observe(self, body: EventBody, source: Source) -> None:
        match body:
            case TextDelta() | MessageDone():
                for name in {self.name, source.agent} - self.first_text.keys():
                    self.first_text[name] = self.clock()
            case Routed(decision):
                self._routed(decision)
            case Failure(detail):
                self.metrics.turn_failed(source.agent or self.name, *self._whose, detail.reason.name)
            case TurnDone():
                self.done = body

    def _routed(self, decision: Decision) -> None:
        self.metrics.route_decided(decision.mode.value, decision.elapsed, lane=decision.lane.value)
        for target in decision.beginning:
            if target.agent not in self.started:
                self._start(target.agent)

    @property
    def _whose(self) -> tuple[str, str]:
        return self.turn.context.tenant, self.turn.context.channel

    def _start(self, name: str) -> None:
        self.started[name] = self.clock()
        self.metrics.turn_started(name, *self._whose)

    def _finish_all(self, outcome: Outcome) -> None:
        branches = {each.source.agent: each.outcome for each in self.done.branches} if self.done else {}
        for name in branches.keys() - self.started.keys():
            # It stepped in for another one; nobody told when.
            self.metrics.turn_started(name, *self._whose)
            self.metrics.turn_finished(name, *self._whose, branches[name].name, duration=None)
        for name, began in self.started.items():
            first = self.first_text.get(name)
            self.metrics.turn_finished(
                name,
                *self._whose,
                branches.get(name, outcome).name,
                duration=timedelta(seconds=self.clock() - began),
                time_to_first_token=None if first is None else timedelta(seconds=first - began),
            )
        if self.done and self.done.usage.model:
            usage = self.done.usage
            self.metrics.tokens_used(self.name, *self._whose, usage.input_tokens, usage.output_tokens)
