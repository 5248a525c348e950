"""What the edge says in a live session, read from the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmos.agent.v1 import live_session_pb2 as pb

from lmos_grpc.domain.live_session import (
    CallDirection,
    CallInfo,
    CancelCause,
    CancelRequest,
    Custom,
    DtmfEnd,
    EndReason,
    HeardAnswer,
    KeysPressed,
    LiveTurn,
    Ping,
    PlaybackReport,
    PlaybackState,
    SessionEnd,
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
from lmos_grpc.wire.json_struct import json_of
from lmos_grpc.wire.time import duration_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos.agent.v1 import agent_service_pb2 as service_pb

    from lmos_grpc.domain.live_session import SessionInput

_SIGNALS = {pb.SignalKind.Value(f"SIGNAL_KIND_{each.name}"): each for each in SignalKind}
_PLAYBACKS = {pb.PlaybackState.Value(f"PLAYBACK_STATE_{each.name}"): each for each in PlaybackState}
_CAUSES = {pb.CancelCause.Value(f"CANCEL_CAUSE_{each.name}"): each for each in CancelCause}
_ENDS = {pb.EndReason.Value(f"END_REASON_{each.name}"): each for each in EndReason}
_KEY_ENDS = {pb.DtmfEnd.Value(f"DTMF_END_{each.name}"): each for each in DtmfEnd}
_TRANSFERS = {pb.TransferOutcome.Value(f"TRANSFER_OUTCOME_{each.name}"): each for each in TransferOutcome}
_DIRECTIONS = {pb.CallDirection.Value(f"CALL_DIRECTION_{each.name}"): each for each in CallDirection}


def session_input_from_wire(request: service_pb.ConverseRequest) -> SessionInput | UnsupportedInput:
    """The input; what is not known, or says nothing, is unsupported with an empty kind."""
    kind = request.WhichOneof("input") or ""
    reader = _READERS.get(kind)
    return reader(getattr(request, kind)) or UnsupportedInput("") if reader else UnsupportedInput(kind)


def live_turn_from_wire(message: pb.LiveTurn) -> LiveTurn:
    """The live session of a turn."""
    about: KeysPressed | Signal | TransferResult | None = None
    match message.WhichOneof("input"):
        case "dtmf":
            about = _keys(message.dtmf)
        case "signal":
            about = _signal(message.signal)
        case "transfer_result":
            about = _transfer_result(message.transfer_result)
    heard = message.heard
    return LiveTurn(
        message.session_id,
        _call(message.call) if message.HasField("call") else None,
        about,
        HeardAnswer(heard.turn_id, heard.text, heard.interrupted, duration_of(heard, "played"))
        if message.HasField("heard")
        else None,
        message.confidence if message.HasField("confidence") else None,
        duration_of(message, "speech_end"),
    )


def _start(message: pb.SessionStart) -> SessionStart:
    return SessionStart(
        conversation_id=message.conversation_id,
        locale=message.locale,
        user_id=message.user_id,
        agent=message.agent,
        call=_call(message.call) if message.HasField("call") else None,
        variables=dict(message.variables),
        resume_token=message.resume_token,
        last_sequence=message.last_sequence,
    )


def _call(message: pb.CallInfo) -> CallInfo:
    return CallInfo(
        call_id=message.call_id,
        from_number=getattr(message, "from"),  # a keyword of Python
        to_number=message.to,
        user_to_user=message.user_to_user,
        direction=_DIRECTIONS.get(message.direction, CallDirection.UNSPECIFIED),
        sip_headers=dict(message.sip_headers),
    )


def _user_text(message: pb.UserText) -> UserText:
    return UserText(
        text=message.text,
        is_final=message.is_final,
        turn_id=message.turn_id,
        confidence=message.confidence if message.HasField("confidence") else None,
        locale=message.locale,
        sensitive=message.sensitive,
        speech_end=duration_of(message, "speech_end"),
    )


def _keys(message: pb.Dtmf) -> KeysPressed:
    return KeysPressed(
        digits=message.digits,
        complete=message.complete,
        end=_KEY_ENDS.get(message.end, DtmfEnd.UNSPECIFIED),
        sensitive=message.sensitive,
        turn_id=message.turn_id,
    )


def _signal(message: pb.Signal) -> Signal | None:
    kind = _SIGNALS.get(message.kind)
    return Signal(kind, message.count, message.turn_id) if kind else None


def _playback(message: pb.Playback) -> PlaybackReport | None:
    state = _PLAYBACKS.get(message.state)
    if state is None:
        return None
    played = duration_of(message, "played")
    return PlaybackReport(state, message.turn_id, message.prompt_id, played, message.heard_text)


def _cancel(message: pb.Cancel) -> CancelRequest:
    cause = _CAUSES.get(message.cause, CancelCause.USER)
    return CancelRequest(message.turn_id, cause, duration_of(message, "heard"), message.heard_text)


def _transfer_result(message: pb.TransferResult) -> TransferResult:
    outcome = _TRANSFERS.get(message.outcome, TransferOutcome.FAILED)
    return TransferResult(outcome, message.detail, message.turn_id)


_READERS: dict[str, Callable[[Any], SessionInput | None]] = {  # Any: each reader takes the member of its name
    "start": _start,
    "user_text": _user_text,
    "dtmf": _keys,
    "signal": _signal,
    "playback": _playback,
    "cancel": _cancel,
    "transfer_result": _transfer_result,
    "tool_result": lambda member: ToolResult(member.id, json_of(member.result), member.error),
    "custom": lambda member: Custom(member.name, json_of(member.payload)),
    "update": lambda member: SessionUpdate(member.locale, dict(member.variables)),
    "ping": lambda member: Ping(member.id),
    "end": lambda member: SessionEnd(_ENDS.get(member.reason, EndReason.UNSPECIFIED)),
}
