"""The events of one call to one agent, held to the contract."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from lmos_grpc.domain.event import Accepted, TurnDone
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

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lmos_grpc.domain.decision import Target
    from lmos_grpc.domain.event import AgentEvent
    from lmos_grpc.domain.turn import TurnRequest

# An agent accepts before any model work; one that does not within this time hangs.
ACCEPT_LIMIT = timedelta(seconds=5)
# After its last event an agent has so long to end the call well; then it is cancelled.
_END_LIMIT = timedelta(milliseconds=50)
# Envoy hears of an agent some milliseconds after we do, and checks its health before it calls it.
_CATCH_UP = timedelta(milliseconds=500)
_CATCH_UP_STEP = timedelta(milliseconds=20)


class AgentCaller(Protocol):
    """Calls agents, through Envoy or directly."""

    def invoke(
        self, turn: TurnRequest, *, route: str = "", timeout: timedelta | None = None
    ) -> AsyncGenerator[AgentEvent, None]:
        """Runs a turn on the agents behind a route; closing the generator cancels the call.

        Raises:
            LmosError: the call failed before its first event, or its stream broke.
        """


async def agent_events(
    caller: AgentCaller, target: Target, turn: TurnRequest, limit: timedelta, *, accept_limit: timedelta = ACCEPT_LIMIT
) -> AsyncGenerator[AgentEvent, None]:
    """Calls the target and yields its events after `Accepted`, up to and with `TurnDone`; then the call is over.

    Raises:
        LmosError: the call failed before its first event.
        AgentStreamBrokenError: the stream broke, or ended without `TurnDone`.
        AgentProtocolViolationError: the first event is not `Accepted`, or numbers are missing.
        DeadlineExceededError: the agent did not accept in time.
    """
    events = await _accepting_call(caller, target, turn, limit, min(accept_limit, limit))
    async with aclosing(events):
        expected = 2
        async for event in _unbroken(events, target):
            if event.sequence != expected:
                raise _violation(target, f"sent event {event.sequence} where {expected} was due")
            expected += 1
            if isinstance(event.body, TurnDone):
                await _ended(events)
                yield event
                return
            yield event
    raise AgentStreamBrokenError(f"the stream of {target.agent} ended before its turn was done", agent=target.agent)


async def _accepting_call(
    caller: AgentCaller, target: Target, turn: TurnRequest, limit: timedelta, accept_limit: timedelta
) -> AsyncGenerator[AgentEvent, None]:
    """A call that was accepted. Right after an agent has come, Envoy may know less than we do: it is given a moment."""
    until = asyncio.get_running_loop().time() + _CATCH_UP.total_seconds()
    while True:
        events = caller.invoke(turn, route=target.key.route, timeout=limit)
        try:
            await _accepted(events, target, accept_limit)
        except (UnknownAgentError, NoHealthyInstanceError):
            await events.aclose()
            if asyncio.get_running_loop().time() >= until:
                raise
            await asyncio.sleep(_CATCH_UP_STEP.total_seconds())
        except BaseException:
            await events.aclose()
            raise
        else:
            return events


async def _accepted(events: AsyncGenerator[AgentEvent, None], target: Target, limit: timedelta) -> None:
    try:
        async with asyncio.timeout(limit.total_seconds()):
            first = await anext(events, None)
    except TimeoutError:
        raise DeadlineExceededError(
            f"{target.agent} did not accept the turn within {limit.total_seconds():.1f} s", agent=target.agent
        ) from None
    except (AgentProtocolViolationError, InternalError, RemoteError) as error:
        # What an agent's server says of itself before its first event is the agent's failure, not ours.
        raise _violation(target, f"failed before its first event: {error}") from error
    if first is None or first.sequence != 1 or not isinstance(first.body, Accepted):
        raise _violation(target, "did not begin its turn with `accepted`")


async def _ended(events: AsyncGenerator[AgentEvent, None]) -> None:
    """Waits for the status of the call, so that a turn that ended well is not seen as a cancelled call."""
    with suppress(TimeoutError, LmosError):
        async with asyncio.timeout(_END_LIMIT.total_seconds()):
            await anext(events, None)


async def _unbroken(events: AsyncGenerator[AgentEvent, None], target: Target) -> AsyncGenerator[AgentEvent, None]:
    try:
        async for event in events:
            yield event
    except AgentProtocolViolationError as error:
        raise _violation(target, f"broke the contract in the middle of its turn: {error}") from error
    except (UnreachableError, InternalError, RemoteError) as error:
        raise AgentStreamBrokenError(
            f"the stream of {target.agent} broke in the middle of its turn: {error}", agent=target.agent
        ) from error


def _violation(target: Target, what: str) -> AgentProtocolViolationError:
    return AgentProtocolViolationError(f"{target.agent} {target.version} {what}", agent=target.agent)
