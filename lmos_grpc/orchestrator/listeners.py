"""Agents that listen: the mesh holds a live session with each, as its caller does with the mesh."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, Self

from lmos_grpc.domain.live_session import SessionStart
from lmos_grpc.errors import ungrouped
from lmos_grpc.orchestrator.agent_call import AgentCaller

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from types import TracebackType

    from lmos_grpc.clients.agent_session import AgentSession
    from lmos_grpc.domain.live_session import CallerInput
    from lmos_grpc.domain.turn import CallContext, TurnRequest
    from lmos_grpc.rpc import Inflow


class SessionCaller(AgentCaller, Protocol):
    """Calls agents, turn by turn or in live sessions."""

    def converse(self, start: SessionStart, context: CallContext, *, route: str) -> AgentSession:
        """Opens a live session with the agents behind a route.

        Raises:
            LmosError: there is no way to call anybody yet.
        """


@dataclass(slots=True)
class _Held:
    route: str
    session: AgentSession
    reader: asyncio.Task[None]


class Listeners:
    """An `AgentCaller` that gives a turn of a live session to an agent that listens over a session of its own.

    It is an `Audience` as well: a line has at most one agent that hears it, the one that had the last turn.
    """

    def __init__(self, caller: SessionCaller, listens: Callable[[str], bool]) -> None:
        self._caller = caller
        self._listens = listens
        self._held: dict[str, _Held] = {}
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        """Holds sessions."""
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends those that are left."""
        for line in list(self._held):
            self.leave(line)
        with ungrouped():
            await self._tasks.__aexit__(None, None, None)

    def receive(
        self,
        turn: TurnRequest,
        on_message: Callable[[bytes], None],
        *,
        route: str = "",
        timeout: timedelta | None = None,
    ) -> Inflow:
        """As `AgentCaller.receive`. Whoever had the line before hears it no more, where it is somebody else."""
        line = turn.live.line if turn.live else ""
        held = self._held.get(line) if line else None
        if held is not None and (held.route != route or not held.session.usable):
            self.leave(line)
            held = None
        if not line or not self._listens(route):
            return self._caller.receive(turn, on_message, route=route, timeout=timeout)
        if held is None:
            held = self._held[line] = self._open(turn, route)
        return held.session.receive(turn, on_message)

    def hear(self, line: str, given: CallerInput, *, only: str = "") -> bool:
        """As `Audience.hear`."""
        held = self._held.get(line)
        if held is None or not held.session.usable or (only and held.route.partition("/")[0] != only):
            return False
        held.session.send(given)
        return True

    def leave(self, line: str) -> None:
        """As `Audience.leave`."""
        if held := self._held.pop(line, None):
            self._tasks.create_task(held.session.close(held.reader))

    def _open(self, turn: TurnRequest, route: str) -> _Held:
        live = turn.live
        start = SessionStart(turn.conversation_id, turn.user.locale, turn.user.id, call=live.call if live else None)
        # Where a turn has been is told of that turn, and not of the session.
        session = self._caller.converse(start, replace(turn.context, visited=()), route=route)
        return _Held(route, session, self._tasks.create_task(session.run()))
