"""A live session: turns one after the other, each of which the caller may interrupt."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lmos_grpc.agent_service.session_events import TurnOutlet
from lmos_grpc.agent_service.session_line import SessionLine
from lmos_grpc.agent_service.session_turn import heard_in
from lmos_grpc.agent_service.turn_execution import Interruption
from lmos_grpc.domain.conversation import TurnKey
from lmos_grpc.domain.event import AgentEvent, Failure, Outcome, TurnDone
from lmos_grpc.domain.live_session import (
    CancelCause,
    CancelRequest,
    Custom,
    EndReason,
    InputSpec,
    KeysPressed,
    Ping,
    PlaybackReport,
    Pong,
    Prompt,
    SessionEnd,
    SessionEnded,
    SessionStart,
    SessionUpdate,
    Signal,
    SignalKind,
    ToolResult,
    TransferOutcome,
    TransferResult,
    UnsupportedInput,
    UserText,
)
from lmos_grpc.domain.turn import TurnRequest
from lmos_grpc.errors import (
    AgentFailedError,
    LmosError,
    QuotaExceededError,
    SessionProtocolError,
    UnsupportedInputError,
)
from lmos_grpc.telemetry.failure import stack_without_text
from lmos_grpc.wire.framed_event import SaidEvent, frame_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from lmos_grpc.agent_service.audience import Audience
    from lmos_grpc.agent_service.session_events import SessionEvents
    from lmos_grpc.agent_service.session_turn import Asking, SessionState
    from lmos_grpc.agent_service.turn_execution import TurnExecutor
    from lmos_grpc.domain.event import EventBody
    from lmos_grpc.domain.live_session import HeardAnswer, SessionInput

_LOG = logging.getLogger(__name__)
# So many inputs may wait for the end of a turn that must not be interrupted.
_MOST_WAITING = 8
# So long the next turn waits for the end of the one that it interrupts; an agent may take its time to clean up.
_END_LIMIT_SECONDS = 1.0


@dataclass(slots=True)
class _RunningTurn:
    id: str
    outlet: TurnOutlet
    interruption: Interruption = field(default_factory=Interruption)
    interruptible: bool = True
    over: bool = False
    task: asyncio.Task[None] | None = None


class LiveSession:
    """One session of one caller. It outlives the stream by which the caller holds it."""

    def __init__(
        self,
        executor: TurnExecutor,
        state: SessionState,
        events: SessionEvents,
        tasks: asyncio.TaskGroup,
        audience: Audience,
        *,
        turn_limit: timedelta,
        new_id: Callable[[], str],
    ) -> None:
        self.state = state
        self.events = events
        self._executor = executor
        self._tasks = tasks
        self._line = SessionLine(audience, state)
        self._turn_limit = turn_limit
        self._new_id = new_id
        self._turn: _RunningTurn | None = None
        self._waiting: deque[Asking] = deque()

    async def take(self, given: SessionInput | TurnRequest | UnsupportedInput, sequence: int) -> bool:
        """Takes an input; False where it ended the session.

        Raises:
            SessionProtocolError: a second start came.
        """
        if self.events.full and not isinstance(given, CancelRequest | SessionEnd):
            # What makes it stop is not held up by what cannot be said fast enough.
            await self.events.room()
        if not self._is_new(sequence):
            return True
        match given:
            case TransferResult(TransferOutcome.CONNECTED):
                await self.end(EndReason.TRANSFERRED)
                return False
            case SessionEnd(reason):
                await self.end(reason)
                return False
            case SessionStart():
                raise SessionProtocolError("a second `start` came in a live session")
            case TurnRequest() | TransferResult():
                await self._ask(given)
            case UserText() | KeysPressed():
                await self._ask_if_complete(given)
            case Signal():
                await self._signal(given)
            case _:
                await self._take_aside(given)
        return True

    def _is_new(self, sequence: int) -> bool:
        if not sequence:
            return True
        new, self.state.last_input = sequence > self.state.last_input, max(sequence, self.state.last_input)
        return new

    async def _take_aside(
        self,
        given: PlaybackReport | CancelRequest | SessionUpdate | ToolResult | Custom | Ping | UnsupportedInput,
    ) -> None:
        match given:
            case CancelRequest():
                await self._cancel(given)
            case PlaybackReport():
                await self._played(given)
            case SessionUpdate(locale, variables):
                start = self.state.start
                merged = {**start.variables, **variables}
                self.state.start = replace(start, locale=locale or start.locale, variables=merged)
                self._line.tell(given)
            case ToolResult() | Custom():
                if not self._line.tell(given):
                    kind = "custom" if isinstance(given, Custom) else "tool_result"
                    error = UnsupportedInputError(f"no agent listens for `{kind}` in this session", input=kind)
                    self._say("", Failure(error.detail))
            case Ping(ping_id):
                self._say("", Pong(ping_id))
            case UnsupportedInput(kind) if kind:
                error = UnsupportedInputError(f"this service does not take `{kind}` in a live session", input=kind)
                self._say("", Failure(error.detail))

    async def end(self, reason: EndReason) -> None:
        """Stops what runs, and says that the session is over."""
        self._waiting.clear()
        await self._stop(Outcome.CANCELLED)
        self._say("", SessionEnded(reason))

    async def finish(self) -> None:
        """Waits for what runs and what waits: there is no more input."""
        await self.idle()
        self._say("", SessionEnded(EndReason.DONE))

    async def idle(self) -> None:
        """Returns once no turn runs or waits."""
        while (turn := self._turn) is not None and turn.task is not None and not turn.task.done():
            await asyncio.wait((turn.task,))

    async def abandon(self) -> None:
        """The caller is gone for good: stops what runs."""
        self._waiting.clear()
        await self._stop(Outcome.CANCELLED)

    async def _ask_if_complete(self, given: UserText | KeysPressed) -> None:
        complete = given.is_final if isinstance(given, UserText) else given.complete
        if complete:
            await self._ask(given)
        else:
            self._line.incomplete(given)

    async def _signal(self, signal: Signal) -> None:
        if signal.kind is SignalKind.HANGUP:
            self._line.tell(signal)
            await self.abandon()
        elif signal.turn_id:
            await self._ask(signal)
        else:
            self._line.tell(signal)

    async def _ask(self, asking: Asking) -> None:
        turn = self._turn
        if turn is not None and not turn.over and not turn.interruptible:
            self._wait(asking)
            return
        if turn is not None and not turn.over:
            self._line.tell(CancelRequest(turn.id, CancelCause.NEW_INPUT))
        await self._stop(Outcome.INTERRUPTED)
        self._begin(asking)

    def _wait(self, asking: Asking) -> None:
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.append(asking)
            return
        error = QuotaExceededError(f"{_MOST_WAITING} inputs wait for the end of a turn that must not be interrupted")
        self._say(asking.turn_id, Failure(error.detail))
        self._say(asking.turn_id, TurnDone(Outcome.FAILED))

    def _begin(self, asking: Asking) -> None:
        state = self.state
        turn_id = asking.turn_id or self._new_id()
        request = state.turn(asking, turn_id)
        # Keys are asked for once; what is sensitive, until another input is asked for.
        state.asked_by = state.asked_by if state.sensitive else None
        state.heard, state.last_turn, state.last_turn_sensitive = None, turn_id, request.sensitive
        outlet = TurnOutlet(self.events, self._watch, secret=request.sensitive)
        turn = self._turn = _RunningTurn(turn_id, outlet)

        async def run() -> None:
            try:
                await self._executor.run(request, self._turn_limit, outlet, turn.interruption)
            except LmosError as error:
                self._refuse(turn, error)
            except Exception as error:  # noqa: BLE001 # the edge of the session: the others of this process go on
                # Without its text, which may quote the caller.
                _LOG.error("a turn of a live session failed\n%s", stack_without_text(error))
                self._refuse(turn, AgentFailedError("the turn failed; the log of this service tells more"))
            turn.over = True
            if self._waiting and self._turn is turn:
                self._begin(self._waiting.popleft())

        turn.task = self._tasks.create_task(run())

    def _refuse(self, turn: _RunningTurn, error: LmosError) -> None:
        """In a session a refused turn is told in band, so that the session goes on."""
        if not turn.over:
            self._say(turn.id, Failure(error.detail))
            self._say(turn.id, TurnDone(Outcome.FAILED))

    async def _stop(self, outcome: Outcome) -> None:
        turn = self._turn
        if turn is None or turn.task is None:
            return
        if not turn.over:
            turn.over, turn.interruption.outcome = True, outcome
            # First, so that nothing of the turn comes after what acknowledges its end.
            turn.outlet.close()
            turn.task.cancel()
            self._say(turn.id, TurnDone(outcome))
        if not turn.task.done():
            # What was said and heard is in the history before the next turn asks for it.
            await asyncio.wait((turn.task,), timeout=_END_LIMIT_SECONDS)

    async def _cancel(self, cancel: CancelRequest) -> None:
        turn = self._turn
        turn_id = cancel.turn_id or self.state.last_turn
        heard = heard_in(cancel, turn_id)
        self._note(heard)
        self._line.heard(replace(cancel, turn_id=turn_id))
        if turn is not None and turn.id == turn_id and not turn.over:
            turn.interruption.heard = heard
            await self._stop(Outcome.CANCELLED)
        elif heard is not None:
            await self._correct(turn_id, heard)

    async def _played(self, report: PlaybackReport) -> None:
        self._line.heard(report)
        heard = heard_in(report, report.turn_id)
        if heard is None or report.prompt_id or not report.turn_id:
            return
        self._note(heard)
        turn = self._turn
        if turn is not None and turn.id == report.turn_id and not turn.over:
            turn.interruption.heard = heard
        elif heard.interrupted:
            await self._correct(report.turn_id, heard)

    def _note(self, heard: HeardAnswer | None) -> None:
        if heard is not None and heard.turn_id == self.state.last_turn:
            # The answer to what was sensitive may repeat it, and the next turn may go to another agent.
            self.state.heard = replace(heard, text="") if self.state.last_turn_sensitive else heard

    async def _correct(self, turn_id: str, heard: HeardAnswer) -> None:
        key = TurnKey(self.state.context.tenant, self.state.start.conversation_id, turn_id)
        await self._executor.heard(key, heard)

    def _watch(self, event: SaidEvent) -> None:
        state, turn = self.state, self._turn
        agent = event.agent
        if agent and (state.speaker is None or state.speaker.agent != agent):
            state.speaker = event.source()
        if turn is None:
            return
        match event.kind:
            case "turn_done":
                turn.over = True
            case "prompt" if isinstance(prompt := event.body(), Prompt) and not prompt.interruptible:
                turn.interruptible = False
            case "input_spec" if isinstance(spec := event.body(), InputSpec):
                state.sensitive = spec.sensitive
                state.asked_by = event.source() if agent and (spec.sensitive or spec.dtmf) else None

    def _say(self, turn_id: str, body: EventBody) -> None:
        self.events.put(SaidEvent(frame_of(AgentEvent(0, turn_id, body))))
