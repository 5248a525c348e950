"""Runs the turns of an agent by the functions that its author wrote."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.domain.event import Outcome, Source
from lmos_grpc.domain.instance import Load
from lmos_grpc.errors import AgentFailedError, NoHealthyInstanceError, ShuttingDownError
from lmos_grpc.sdk.answering import Answering
from lmos_grpc.sdk.turn import Turn
from lmos_grpc.sdk.turn_metrics import metered
from lmos_grpc.sdk.turn_report import TurnReports
from lmos_grpc.sdk.turn_scope import TurnScope
from lmos_grpc.telemetry import Metrics, agent_turn
from lmos_grpc.telemetry.failure import stack_without_text

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from lmos_grpc.agent_service import Emit, TurnWork
    from lmos_grpc.domain.card import AgentCard
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.errors import LmosError
    from lmos_grpc.sdk.agent import Agent
    from lmos_grpc.sdk.answering import Tell
    from lmos_grpc.sdk.offer import Offer
    from lmos_grpc.sdk.turn_scope import LanguageModel, MeshCaller

_LOG = logging.getLogger(__name__)
_BUSY_RETRY = timedelta(milliseconds=500)


class AgentRunner:
    """A `TurnRunner` over an agent. `max_turns` 0 means no limit of its own."""

    def __init__(
        self,
        agent: Agent,
        tracer: Tracer,
        *,
        model: LanguageModel | None = None,
        mesh: MeshCaller | None = None,
        metrics: Metrics | None = None,
        max_turns: int = 0,
        reports: TurnReports | None = None,
    ) -> None:
        self._agent = agent
        self._card = agent.card
        self.tracer = tracer
        self.model = model
        self.mesh = mesh
        self.metrics = metrics or Metrics()
        self.reports = reports or TurnReports(None)
        self._max_turns = max_turns
        self._slots = asyncio.Semaphore(max_turns) if max_turns else None
        self._limits: set[asyncio.Timeout] = set()

    @property
    def active_turns(self) -> int:
        """How many turns run."""
        return len(self._limits)

    @property
    def load(self) -> Load:
        """How busy the agent is."""
        return Load(self.active_turns, self._max_turns)

    def card(self) -> AgentCard:
        """Who answers here, and what it can do."""
        return self._card

    async def admit(self, turn: TurnRequest, time_left: timedelta) -> TurnWork:
        """Finds the capability that answers.

        Raises:
            UnknownCapabilityError: the agent does not have the capability that the turn asks for.
            NoHealthyInstanceError: so many turns run already as this instance takes at once.
        """
        offer = self._agent.pick(turn.hint.capability)
        if self._slots and self._slots.locked():
            raise NoHealthyInstanceError(
                f"{self._card.name} has {self.active_turns} turns running here and takes no more; try again",
                retry_after=_BUSY_RETRY,
                agent=self._card.name,
            )
        return _CapabilityTurn(self, turn, offer, time_left)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """One of the turns that run. Whoever was admitted in the same moment as others may have to wait for it.

        Raises:
            ShuttingDownError: the turn was cut off.
            AgentFailedError: something that the agent waited for took too long.
        """
        async with self._slots or nullcontext():
            limit = asyncio.timeout(None)
            try:
                async with limit:
                    self._limits.add(limit)
                    yield
            except TimeoutError as error:
                # Whose time is up has to be told apart: here it is never the caller's.
                raise self._too_late(limit, error) from error
            finally:
                self._limits.discard(limit)

    def cut_off(self) -> None:
        """Ends the turns that still run, so that their callers are told why."""
        for limit in self._limits:
            limit.reschedule(asyncio.get_running_loop().time())

    def _too_late(self, limit: asyncio.Timeout, error: TimeoutError) -> LmosError:
        name = self._card.name
        if limit.expired():
            return ShuttingDownError(f"this instance of {name} shuts down and could not finish the turn", agent=name)
        _LOG.error("%s waited too long for something\n%s", name, stack_without_text(error))
        return AgentFailedError(f"{name} waited too long for something that it needs", agent=name)


@dataclass(frozen=True, slots=True)
class _CapabilityTurn:
    """A `TurnWork`: one turn of one capability."""

    runner: AgentRunner
    request: TurnRequest
    offer: Offer
    time_left: timedelta

    async def __call__(self, emit: Emit, /) -> None:
        reports, source = self.runner.reports, self._source()
        async with (
            reports.of(self.request, source, emit) as reported,
            self.runner.running(),
            AsyncExitStack() as streams,
        ):
            await self._run(reported, source, self._scope(streams))

    def _source(self) -> Source:
        card = self.runner.card()
        return Source(card.name, card.version, self.offer.capability.id)

    def _scope(self, streams: AsyncExitStack) -> TurnScope:
        return TurnScope(
            self.request,
            agent=self.runner.card().name,
            capability=self.offer.capability.id,
            time_left=self.time_left,
            streams=streams,
            model=self.runner.model,
            mesh=self.runner.mesh,
        )

    async def _run(self, emit: Tell, source: Source, scope: TurnScope) -> None:
        card, said = self.runner.card(), self.request.context
        span = agent_turn(
            self.runner.tracer,
            agent=card.name,
            version=card.version,
            conversation_id=self.request.conversation_id,
            turn_id=self.request.turn_id,
            tenant=said.tenant,
            channel=said.channel,
            capability=source.capability,
        )
        with span as observed, metered(self.runner.metrics, card.name, said, scope.spent) as meter:
            answering = Answering(emit, source, scope, card.may_hand_over, meter.first_token)
            outcome = await _answer(self.offer, Turn(scope), answering)
            await answering.finish(outcome, meter.elapsed)
            meter.outcome = outcome
            observed.finish(outcome.name, *_tokens(scope))


def _tokens(scope: TurnScope) -> tuple[int, int]:
    return sum(each.input_tokens for each in scope.spent), sum(each.output_tokens for each in scope.spent)


async def _answer(offer: Offer, turn: Turn, answering: Answering) -> Outcome:
    """Runs the author's function until it is done or ends the turn."""
    answers = offer.function(turn)
    if not isinstance(answers, AsyncIterator):
        item = await answers
        ended = None if item is None else await answering.take(item)
        return ended or Outcome.COMPLETED
    async with aclosing(answers) if isinstance(answers, AsyncGenerator) else nullcontext():
        async for item in answers:
            if ended := await answering.take(item):
                return ended
    return Outcome.COMPLETED
