"""All live sessions of a process: they begin here, survive their streams for a while, and move on when it ends."""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from lmos_grpc.agent_service.audience import Nobody
from lmos_grpc.agent_service.live_session import LiveSession
from lmos_grpc.agent_service.session_events import SessionEvents
from lmos_grpc.agent_service.session_store import SessionSnapshot
from lmos_grpc.agent_service.session_turn import SessionState
from lmos_grpc.agent_service.turn_execution import random_id
from lmos_grpc.domain.event import AgentEvent
from lmos_grpc.domain.live_session import GoAway, SessionReady, SessionStart
from lmos_grpc.errors import LmosError, SessionGoneError, SessionProtocolError, ShuttingDownError, ungrouped
from lmos_grpc.rpc.deadline import MAX_TURN_TIME
from lmos_grpc.rpc.server import DEFAULT_DRAIN
from lmos_grpc.wire.framed_event import SaidEvent, frame_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

    from lmos_grpc.agent_service.audience import Audience
    from lmos_grpc.agent_service.session_store import SessionStore
    from lmos_grpc.agent_service.turn_execution import TurnExecutor
    from lmos_grpc.domain.live_session import SessionInput, UnsupportedInput
    from lmos_grpc.domain.turn import CallContext, TurnRequest
    from lmos_grpc.rpc import Outlet, RunningServer

_LOG = logging.getLogger(__name__)
SESSION_KEEPALIVE = timedelta(seconds=20)
# So long a session lives without a stream.
SESSION_KEEP = timedelta(seconds=30)
_RESET_SECONDS = 0.05
# Of the time that a process has to end, so much is for the turns that run.
_FOR_TURNS = 0.8


@dataclass(frozen=True, slots=True)
class NumberedInput:
    """An input with the number that its caller gave it; 0 where it gave none."""

    sequence: int
    given: SessionInput | TurnRequest | UnsupportedInput


@dataclass(slots=True, eq=False)
class _Stream:
    """The task that serves a stream; `taken` where the session was taken from it and goes on elsewhere."""

    task: asyncio.Task[object]
    taken: bool = False


@dataclass(slots=True)
class _Held:
    """A session with its stream, or with the timer that ends it where it has none."""

    session: LiveSession
    stream: _Stream | None = None
    timer: asyncio.TimerHandle | None = None


class LiveSessions:
    """Serves live sessions while the block runs. What is moved to another process goes through `store`.

    What callers do beside asking is told to `audience`.
    """

    def __init__(
        self,
        executor: TurnExecutor,
        *,
        turn_limit: timedelta = MAX_TURN_TIME,
        store: SessionStore | None = None,
        audience: Audience | None = None,
        keep: timedelta = SESSION_KEEP,
        new_id: Callable[[], str] = random_id,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._executor = executor
        self._turn_limit = turn_limit
        self._store = store
        self._audience = audience or Nobody()
        self._keep = keep
        self._new_id = new_id
        self._now = now
        self._tasks = asyncio.TaskGroup()
        self._held: dict[str, _Held] = {}
        # The newest session of each conversation: one whose caller came back without the token is not waited for.
        self._newest: dict[tuple[str, str], _Held] = {}
        self._draining = False

    async def __aenter__(self) -> Self:
        """Takes sessions on."""
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the sessions that are left."""
        for held in self._held.values():
            if held.timer:
                held.timer.cancel()
            self._tasks.create_task(held.session.abandon())
            self._audience.leave(held.session.state.session_id)
        self._held.clear()
        self._newest.clear()
        with ungrouped():
            await self._tasks.__aexit__(None, None, None)

    def __len__(self) -> int:
        """How many sessions there are, with those that have no stream at the moment."""
        return len(self._held)

    async def serve(self, inputs: AsyncIterator[NumberedInput], context: CallContext, outlet: Outlet) -> None:
        """Serves one stream of a session, a new one or one that is taken up again.

        Half-close means "no more input": the running turn is finished, and the session ends. A stream that breaks
        leaves the session for `keep`.

        Raises:
            SessionProtocolError: the first input is no start, a second start came, or another stream took the session.
            ShuttingDownError: this process takes no more sessions on.
            SessionGoneError: no session of the token is here, and no conversation was named to begin anew.
        """
        first = await anext(inputs, None)
        if first is None or not isinstance(first.given, SessionStart):
            raise SessionProtocolError("the first input of a live session has to be `start`")
        if self._draining:
            raise ShuttingDownError("this process shuts down; open the session again", retry_after=timedelta(0))
        stream = _this_stream()
        held = await self._take_up(stream, first.given, context, outlet)
        if held is None:
            _require_conversation(first.given)
            held = self._begin(stream, first.given, first.sequence, context, outlet)
        try:
            await self._hold(held, inputs)
        except asyncio.CancelledError:
            if not stream.taken:
                self._park(held)
                raise
            if stream.task.uncancel():
                raise  # the caller is gone as well
            if not self._draining:
                raise SessionProtocolError("another stream has taken up this session") from None
        except BaseException:
            self._drop(held)
            await held.session.abandon()
            raise

    @asynccontextmanager
    async def leaving(self, server: RunningServer, limit: timedelta = DEFAULT_DRAIN) -> AsyncIterator[None]:
        """Sends the callers away at the end of the block, which is to end before the server does."""
        try:
            yield
        finally:
            await server.set_serving(serving=False)
            await self.go_away(limit)

    async def go_away(self, time_left: timedelta) -> None:
        """Sends the callers away: each gets its token, may finish its turn, and finds its session in the store."""
        self._draining = True
        within = time_left * _FOR_TURNS
        moves = [self._tasks.create_task(self._move(held, within)) for held in list(self._held.values())]
        if moves:
            await asyncio.wait(moves)

    async def _hold(self, held: _Held, inputs: AsyncIterator[NumberedInput]) -> None:
        async for each in inputs:
            if not await held.session.take(each.given, each.sequence):
                self._drop(held)
                return
        # A stream that breaks reads like one without more input; that it was cancelled is told a moment later.
        await asyncio.sleep(_RESET_SECONDS)
        await held.session.finish()
        self._drop(held)

    def _begin(
        self, stream: _Stream, start: SessionStart, sequence: int, context: CallContext, outlet: Outlet
    ) -> _Held:
        start = replace(start, conversation_id=start.conversation_id or self._new_id(), resume_token="")
        state = SessionState(self._new_id(), secrets.token_urlsafe(24), context, start, last_input=sequence)
        held = self._adopt(self._session(state, SessionEvents()))
        held.stream = stream
        events = held.session.events
        events.attach(outlet, 0)
        events.put(SaidEvent(frame_of(AgentEvent(0, "", self._ready(state)))))
        return held

    async def _take_up(
        self, stream: _Stream, start: SessionStart, context: CallContext, outlet: Outlet
    ) -> _Held | None:
        token = start.resume_token
        if not token:
            return None
        held = self._held.get(token)
        if held is None:
            held = await self._from_store(token, context)
        if held is None or held.session.state.context.tenant != context.tenant:
            return None
        session = held.session
        if not session.events.can_continue(start.last_sequence):
            self._drop(held)
            await session.abandon()
            return None
        self._take_from_stream(held)
        held.stream = stream
        events = session.events
        outlet.put(frame_of(AgentEvent(0, "", self._ready(session.state, resumed=True))))
        events.attach(outlet, start.last_sequence)
        return held

    async def _from_store(self, token: str, context: CallContext) -> _Held | None:
        try:
            snapshot = await self._store.claim(token, context.tenant) if self._store else None
        except LmosError as error:
            _LOG.warning("a live session could not be taken up: %s", error)
            return None
        if snapshot is None:
            return None
        return self._adopt(self._session(snapshot.state, SessionEvents(snapshot.first, snapshot.frames)))

    def _session(self, state: SessionState, events: SessionEvents) -> LiveSession:
        return LiveSession(
            self._executor,
            state,
            events,
            self._tasks,
            self._audience,
            turn_limit=self._turn_limit,
            new_id=self._new_id,
        )

    def _adopt(self, session: LiveSession) -> _Held:
        held = self._held[session.state.token] = _Held(session)
        before = self._newest.get(_conversation(held))
        self._newest[_conversation(held)] = held
        if before is not None and before.stream is None:
            self._expire(before)
        return held

    def _ready(self, state: SessionState, *, resumed: bool = False) -> SessionReady:
        return SessionReady(
            state.session_id,
            state.start.conversation_id,
            SESSION_KEEPALIVE,
            state.token,
            resumed,
            state.last_input,
        )

    def _take_from_stream(self, held: _Held) -> None:
        if held.timer:
            held.timer.cancel()
            held.timer = None
        stream, held.stream = held.stream, None
        if stream is not None:
            stream.taken = True
            stream.task.cancel()
        held.session.events.detach()

    def _park(self, held: _Held) -> None:
        """The stream broke: the session waits for another one."""
        if held.session.state.token not in self._held:
            return
        held.stream = None
        held.session.events.detach()
        if self._newest.get(_conversation(held)) is not held:
            self._expire(held)
            return
        held.timer = asyncio.get_running_loop().call_later(self._keep.total_seconds(), self._expire, held)

    def _expire(self, held: _Held) -> None:
        self._drop(held)
        self._tasks.create_task(held.session.abandon())

    def _drop(self, held: _Held) -> None:
        if held.timer:
            held.timer.cancel()
        self._held.pop(held.session.state.token, None)
        self._audience.leave(held.session.state.session_id)
        if self._newest.get(_conversation(held)) is held:
            del self._newest[_conversation(held)]

    async def _move(self, held: _Held, within: timedelta) -> None:
        session = held.session
        session.events.aside(AgentEvent(0, "", GoAway(within, session.state.token)))
        try:
            async with asyncio.timeout(within.total_seconds()):
                await session.idle()
        except TimeoutError:
            await session.abandon()
        if session.state.token not in self._held:
            return
        self._drop(held)
        events = session.events
        if self._store:
            snapshot = SessionSnapshot(session.state, events.first, events.frames_to_keep())
            try:
                await self._store.keep(snapshot, self._now() + self._keep)
            except LmosError as error:
                _LOG.warning("a live session could not be kept for another process: %s", error)
        self._take_from_stream(held)


def _conversation(held: _Held) -> tuple[str, str]:
    state = held.session.state
    return state.context.tenant, state.start.conversation_id


def _require_conversation(start: SessionStart) -> None:
    if start.resume_token and not start.conversation_id:
        raise SessionGoneError(
            "the live session of this token is not here: it is over, waited for more than 30 s, or was held by a "
            "process that does not share its state with this one; open a session with the conversation id that "
            "`session_ready` told, and it goes on with the history of that conversation"
        )


def _this_stream() -> _Stream:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a stream is served in a task")
    return _Stream(task)
