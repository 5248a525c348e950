"""One call to one agent, held to the contract."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from lmos_grpc.domain.event import TurnDone
from lmos_grpc.errors import (
    AgentProtocolViolationError,
    AgentStreamBrokenError,
    DeadlineExceededError,
    InternalError,
    LmosError,
    NoHealthyInstanceError,
    RemoteError,
    UnknownAgentError,
    UnreachableError,
)
from lmos_grpc.wire.framed_event import SaidEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.domain.decision import Target
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.rpc import Inflow

# An agent accepts before any model work; one that does not within this time hangs.
ACCEPT_LIMIT = timedelta(seconds=5)
# After its last event an agent has so long to end the call well; then it is cancelled.
_END_LIMIT = timedelta(milliseconds=50)
# Envoy hears of an agent some milliseconds after we do, and checks its health before it calls it.
_CATCH_UP = timedelta(milliseconds=500)
_CATCH_UP_STEP = timedelta(milliseconds=20)


class AgentCaller(Protocol):
    """Calls agents, through Envoy or directly."""

    def receive(
        self,
        turn: TurnRequest,
        on_message: Callable[[bytes], None],
        *,
        route: str = "",
        timeout: timedelta | None = None,
    ) -> Inflow:
        """Runs a turn on the agents behind a route, and hands its events over as responses carry them.

        Raises:
            LmosError: there is no way to call anybody yet.
        """


class AgentCall:
    """A turn of one agent. `hear` gets its events after `accepted` and before `turn_done`, as they come."""

    def __init__(
        self,
        caller: AgentCaller,
        target: Target,
        turn: TurnRequest,
        limit: timedelta,
        hear: Callable[[SaidEvent, Inflow], None],
        *,
        accept_limit: timedelta = ACCEPT_LIMIT,
    ) -> None:
        self._caller = caller
        self._target = target
        self._turn = turn
        self._limit = limit
        self._accept_limit = min(accept_limit, limit)
        self._hear = hear
        self._loop = asyncio.get_running_loop()
        self._inflow: Inflow | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._expected = 1
        self._failure: LmosError | None = None
        self._done: TurnDone | None = None

    async def run(self) -> TurnDone:
        """Returns how the agent ended its turn, once its call is over.

        Raises:
            LmosError: the call failed before its first event.
            AgentStreamBrokenError: the stream broke, or ended without `turn_done`.
            AgentProtocolViolationError: the first event is not `accepted`, another one is, or numbers are missing.
            DeadlineExceededError: the agent did not accept in time.
        """
        until = self._loop.time() + _CATCH_UP.total_seconds()
        while True:
            try:
                return await self._call()
            except (UnknownAgentError, NoHealthyInstanceError):
                # Right after an agent has come, Envoy may know less than we do: it is given a moment.
                if self._expected > 1 or self._loop.time() >= until:
                    raise
            await asyncio.sleep(_CATCH_UP_STEP.total_seconds())

    async def _call(self) -> TurnDone:
        route = self._target.key.route
        # Before the call begins: a transport may hand the first event over at once.
        self._timer = self._loop.call_later(self._accept_limit.total_seconds(), self._not_accepted)
        try:
            self._inflow = self._caller.receive(self._turn, self._take, route=route, timeout=self._limit)
            await self._inflow.ended()
        except LmosError as error:
            if self._failure is None and self._done is None:
                raise self._named(error) from error
        except BaseException:
            self._stop()
            raise
        finally:
            self._timer.cancel()
        if self._failure is not None:
            raise self._failure
        return self._done or self._no_end()

    def _take(self, message: bytes) -> None:
        if self._failure is not None or self._done is not None:
            return
        try:
            event = SaidEvent(message)
        except AgentProtocolViolationError as error:
            self._violate(self._unreadable(error))
            return
        expected, self._expected = self._expected, self._expected + 1
        if expected == 1:
            self._begin(event)
        elif event.sequence != expected:
            self._violate(f"sent event {event.sequence} where {expected} was due")
        elif event.kind == "turn_done":
            self._finish(event)
        elif event.kind == "accepted":
            self._violate("accepted its turn twice")
        elif self._inflow is not None:
            self._hear(event, self._inflow)

    def _begin(self, event: SaidEvent) -> None:
        if event.sequence != 1 or event.kind != "accepted":
            self._violate("did not begin its turn with `accepted`")
        elif self._timer is not None:
            self._timer.cancel()

    def _finish(self, event: SaidEvent) -> None:
        done = event.body()
        if isinstance(done, TurnDone):
            self._done = done
        # The status of the call is waited for, so that a turn that ended well is not seen as a cancelled call.
        self._timer = self._loop.call_later(_END_LIMIT.total_seconds(), self._stop)

    def _not_accepted(self) -> None:
        seconds = self._accept_limit.total_seconds()
        self._fail(
            DeadlineExceededError(f"{self._agent} did not accept the turn within {seconds:.1f} s", agent=self._agent)
        )

    def _violate(self, what: str) -> None:
        self._fail(self._violation(what))

    def _fail(self, error: LmosError) -> None:
        self._failure = error
        self._stop()

    def _stop(self) -> None:
        if self._inflow is not None:
            self._inflow.cancel()

    def _no_end(self) -> TurnDone:
        if self._expected == 1:
            raise self._violation("did not begin its turn with `accepted`")
        raise AgentStreamBrokenError(f"the stream of {self._agent} ended before its turn was done", agent=self._agent)

    def _named(self, error: LmosError) -> LmosError:
        """The error of the call as what it is to the turn."""
        if self._expected == 1:
            # What an agent's server says of itself before its first event is the agent's failure, not ours.
            ours = not isinstance(error, AgentProtocolViolationError | InternalError | RemoteError)
            return error if ours else self._violation(self._unreadable(error))
        if isinstance(error, AgentProtocolViolationError):
            return self._violation(self._unreadable(error))
        if isinstance(error, UnreachableError | InternalError | RemoteError):
            return AgentStreamBrokenError(
                f"the stream of {self._agent} broke in the middle of its turn: {error}", agent=self._agent
            )
        return error

    def _unreadable(self, error: LmosError) -> str:
        if self._expected == 1:
            return f"failed before its first event: {error}"
        return f"broke the contract in the middle of its turn: {error}"

    def _violation(self, what: str) -> AgentProtocolViolationError:
        return AgentProtocolViolationError(f"{self._agent} {self._target.version} {what}", agent=self._agent)

    @property
    def _agent(self) -> str:
        return self._target.agent
