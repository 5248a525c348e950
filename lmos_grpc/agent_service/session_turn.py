"""What a caller says in a live session, as a turn that any agent can take."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lmos_grpc.domain.live_session import (
    CancelRequest,
    HeardAnswer,
    KeysPressed,
    LiveTurn,
    PlaybackReport,
    PlaybackState,
    Signal,
    TransferResult,
    UserText,
)
from lmos_grpc.domain.turn import DataPart, Message, Role, RouteHint, Strategy, StrategyKind, TurnRequest, User

if TYPE_CHECKING:
    from lmos_grpc.domain.event import Source
    from lmos_grpc.domain.live_session import SessionStart
    from lmos_grpc.domain.turn import CallContext

# What begins a turn.
Asking = UserText | KeysPressed | Signal | TransferResult | TurnRequest


@dataclass(slots=True)
class SessionState:
    """What a session knows: for whom it is, who spoke last, what input is expected, and what was heard."""

    session_id: str
    token: str = field(repr=False)
    context: CallContext
    start: SessionStart
    last_input: int = 0
    last_turn: str = ""
    last_turn_sensitive: bool = False
    speaker: Source | None = None
    # The agent that asked for keys or for sensitive input.
    asked_by: Source | None = None
    sensitive: bool = False
    heard: HeardAnswer | None = None

    def turn(self, asking: Asking, turn_id: str) -> TurnRequest:
        """The turn that an input begins."""
        sensitive = self.is_sensitive(asking)
        start, heard = self.start, self.heard
        if isinstance(asking, TurnRequest):
            return self._in_session(asking, turn_id, sensitive=sensitive)
        locale = asking.locale if isinstance(asking, UserText) else ""
        return TurnRequest(
            message=_message(asking),
            conversation_id=start.conversation_id,
            turn_id=turn_id,
            hint=self._hint(asking, sensitive=sensitive),
            user=User(start.user_id, locale or start.locale, start.variables),
            context=self.context,
            sensitive=sensitive,
            live=replace(_told(asking), session_id=self.session_id, call=start.call, heard=heard, line=self.session_id),
        )

    def _in_session(self, request: TurnRequest, turn_id: str, *, sensitive: bool) -> TurnRequest:
        """A turn that came in full, as one of this session."""
        start, hint, user = self.start, request.hint, request.user
        live = request.live or LiveTurn(self.session_id, start.call, heard=self.heard)
        variables = {**start.variables, **user.attributes}
        return replace(
            request,
            conversation_id=start.conversation_id,
            turn_id=turn_id,
            hint=hint if hint.agent or hint.capability else self._hint(request, sensitive=sensitive),
            user=User(user.id or start.user_id, user.locale or start.locale, variables),
            context=self.context,
            sensitive=sensitive,
            live=replace(live, line=self.session_id),
        )

    def is_sensitive(self, asking: Asking) -> bool:
        """Whether the edge says so, or the agent that asked did."""
        return isinstance(asking, UserText | KeysPressed | TurnRequest) and (asking.sensitive or self.sensitive)

    def _hint(self, asking: Asking, *, sensitive: bool) -> RouteHint:
        if self.start.agent:
            return RouteHint(agent=self.start.agent)
        owner = self.asked_by or (None if isinstance(asking, UserText | TurnRequest) else self.speaker)
        strategy = Strategy(StrategyKind.ONE) if sensitive else Strategy()
        if owner is None:
            return RouteHint(strategy=strategy)
        return RouteHint(agent=owner.agent, capability=owner.capability, strategy=strategy)


def _told(asking: UserText | KeysPressed | Signal | TransferResult) -> LiveTurn:
    """What an agent is told of the input that began a turn, beside its message."""
    if isinstance(asking, UserText):
        return LiveTurn(confidence=asking.confidence, speech_end=asking.speech_end)
    return LiveTurn(about=asking)


def _message(asking: UserText | KeysPressed | Signal | TransferResult) -> Message:
    match asking:
        case UserText():
            return Message.from_user(asking.text)
        case KeysPressed():
            return Message.from_user(asking.digits)
        case Signal(kind, count):
            return Message(Role.USER, (DataPart({"signal": kind.name, "count": count}),))
        case TransferResult(outcome, detail):
            return Message(Role.USER, (DataPart({"transfer": outcome.name, "detail": detail}),))


def heard_in(report: CancelRequest | PlaybackReport, turn_id: str) -> HeardAnswer | None:
    """What was heard of a turn; None where that is not told."""
    match report:
        case PlaybackReport(state=PlaybackState.COMPLETED):
            return HeardAnswer(turn_id, report.heard_text, interrupted=False, played=report.played)
        case PlaybackReport(state=PlaybackState.INTERRUPTED):
            return HeardAnswer(turn_id, report.heard_text, interrupted=True, played=report.played)
        case CancelRequest() if report.heard is not None or report.heard_text:
            return HeardAnswer(turn_id, report.heard_text, interrupted=True, played=report.heard)
        case _:
            return None
