"""What is said in a live session, on the wire."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from lmos.agent.v1 import agent_service_pb2 as service_pb
from lmos.agent.v1 import live_session_pb2 as pb

from lmos_grpc.domain.live_session import (
    CancelRequest,
    Custom,
    DtmfSpec,
    EndReason,
    GoAway,
    InputMode,
    InputSpec,
    KeysPressed,
    Ping,
    PlaybackReport,
    Pong,
    Prompt,
    PromptKind,
    Recording,
    SessionEnd,
    SessionEnded,
    SessionReady,
    SessionStart,
    SessionUpdate,
    Signal,
    ToolResult,
    Transfer,
    TransferKind,
    TransferResult,
    UserText,
)
from lmos_grpc.wire.json_struct import json_of, struct_of
from lmos_grpc.wire.time import duration_of, to_duration

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import Enum

    from lmos.agent.v1 import agent_event_pb2 as event_pb

    from lmos_grpc.domain.live_session import CallInfo, LiveBody, LiveTurn, SessionInput


def _by_number(members: type[Enum], names: dict[str, int], prefix: str) -> dict[int, Any]:  # Any: a member of `members`
    return {names[f"{prefix}_{each.name}"]: each for each in members if f"{prefix}_{each.name}" in names}


_INPUT_MODES = _by_number(InputMode, dict(pb.InputMode.items()), "INPUT_MODE")
_PROMPT_KINDS = _by_number(PromptKind, dict(pb.PromptKind.items()), "PROMPT_KIND")
_TRANSFER_KINDS = _by_number(TransferKind, dict(pb.TransferKind.items()), "TRANSFER_KIND")
_END_REASONS = _by_number(EndReason, dict(pb.EndReason.items()), "END_REASON")


def session_input_to_wire(given: SessionInput, sequence: int) -> service_pb.ConverseRequest:
    """An input of a live session as it travels."""
    request = service_pb.ConverseRequest(sequence=sequence)
    match given:
        case SessionStart():
            request.start.CopyFrom(_start_to_wire(given))
        case UserText():
            said = pb.UserText(
                text=given.text,
                is_final=given.is_final,
                confidence=given.confidence,
                locale=given.locale,
                turn_id=given.turn_id,
                sensitive=given.sensitive,
                speech_end=to_duration(given.speech_end),
            )
            request.user_text.CopyFrom(said)
        case SessionUpdate(locale, variables):
            request.update.CopyFrom(pb.SessionUpdate(locale=locale, variables=dict(variables)))
        case Ping(ping_id):
            request.ping.id = ping_id
        case ToolResult(call_id, result, error):
            request.tool_result.CopyFrom(pb.ToolResult(id=call_id, result=struct_of(result), error=error))
        case Custom(name, payload):
            request.custom.CopyFrom(pb.Custom(name=name, payload=struct_of(payload)))
        case SessionEnd(reason):
            request.end.reason = pb.EndReason.Value(f"END_REASON_{reason.name}")
        case _:
            _edge_report_to_wire(given, request)
    return request


def _edge_report_to_wire(
    given: KeysPressed | Signal | PlaybackReport | CancelRequest | TransferResult, request: service_pb.ConverseRequest
) -> None:
    match given:
        case KeysPressed():
            request.dtmf.CopyFrom(_keys_to_wire(given))
        case Signal():
            request.signal.CopyFrom(_signal_to_wire(given))
        case PlaybackReport():
            report = pb.Playback(
                state=pb.PlaybackState.Value(f"PLAYBACK_STATE_{given.state.name}"),
                turn_id=given.turn_id,
                prompt_id=given.prompt_id,
                played=to_duration(given.played),
                heard_text=given.heard_text,
            )
            request.playback.CopyFrom(report)
        case CancelRequest():
            cancel = pb.Cancel(
                turn_id=given.turn_id,
                cause=pb.CancelCause.Value(f"CANCEL_CAUSE_{given.cause.name}"),
                heard=to_duration(given.heard),
                heard_text=given.heard_text,
            )
            request.cancel.CopyFrom(cancel)
        case TransferResult():
            request.transfer_result.CopyFrom(_transfer_result_to_wire(given))


def _keys_to_wire(keys: KeysPressed) -> pb.Dtmf:
    return pb.Dtmf(
        digits=keys.digits,
        complete=keys.complete,
        end=pb.DtmfEnd.Value(f"DTMF_END_{keys.end.name}"),
        sensitive=keys.sensitive,
        turn_id=keys.turn_id,
    )


def _signal_to_wire(signal: Signal) -> pb.Signal:
    kind = pb.SignalKind.Value(f"SIGNAL_KIND_{signal.kind.name}")
    return pb.Signal(kind=kind, count=signal.count, turn_id=signal.turn_id)


def _transfer_result_to_wire(result: TransferResult) -> pb.TransferResult:
    outcome = pb.TransferOutcome.Value(f"TRANSFER_OUTCOME_{result.outcome.name}")
    return pb.TransferResult(outcome=outcome, detail=result.detail, turn_id=result.turn_id)


def _call_to_wire(call: CallInfo) -> pb.CallInfo:
    info = {
        "call_id": call.call_id,
        "from": call.from_number,  # a keyword of Python, and so no name of an argument
        "to": call.to_number,
        "user_to_user": call.user_to_user,
    }
    direction = pb.CallDirection.Value(f"CALL_DIRECTION_{call.direction.name}")
    return pb.CallInfo(
        direction=direction,
        sip_headers=dict(call.sip_headers),
        **info,
    )


def _start_to_wire(start: SessionStart) -> pb.SessionStart:
    return pb.SessionStart(
        conversation_id=start.conversation_id,
        resume_token=start.resume_token,
        last_sequence=start.last_sequence,
        locale=start.locale,
        user_id=start.user_id,
        agent=start.agent,
        call=_call_to_wire(start.call) if start.call else None,
        variables=dict(start.variables),
    )


def live_turn_to_wire(live: LiveTurn) -> pb.LiveTurn:
    """The live session of a turn as it travels."""
    message = pb.LiveTurn(
        session_id=live.session_id,
        call=_call_to_wire(live.call) if live.call else None,
        confidence=live.confidence,
        speech_end=to_duration(live.speech_end),
    )
    match live.about:
        case KeysPressed():
            message.dtmf.CopyFrom(_keys_to_wire(live.about))
        case Signal():
            message.signal.CopyFrom(_signal_to_wire(live.about))
        case TransferResult():
            message.transfer_result.CopyFrom(_transfer_result_to_wire(live.about))
        case None:
            pass
    if live.heard:
        heard = live.heard
        message.heard.CopyFrom(
            pb.HeardAnswer(
                turn_id=heard.turn_id,
                text=heard.text,
                interrupted=heard.interrupted,
                played=to_duration(heard.played),
            )
        )
    return message


def write_live_body(body: LiveBody, message: event_pb.AgentEvent) -> None:
    """Puts what only live sessions have into an event."""
    match body:
        case SessionReady():
            ready = pb.SessionReady(
                session_id=body.session_id,
                conversation_id=body.conversation_id,
                resume_token=body.resume_token,
                resumed=body.resumed,
                keepalive=to_duration(body.keepalive),
                last_input_sequence=body.last_input_sequence,
            )
            message.session_ready.CopyFrom(ready)
        case Pong(ping_id):
            message.pong.id = ping_id
        case GoAway(time_left, token):
            message.go_away.CopyFrom(pb.GoAway(time_left=to_duration(time_left), resume_token=token))
        case Prompt():
            message.prompt.CopyFrom(_prompt_to_wire(body))
        case InputSpec():
            message.input_spec.CopyFrom(_input_spec_to_wire(body))
        case Transfer(target, kind, after_playback, summary):
            transfer = pb.Transfer(
                target=target,
                kind=pb.TransferKind.Value(f"TRANSFER_KIND_{kind.name}"),
                after_playback=after_playback,
                summary=summary,
            )
            message.transfer.CopyFrom(transfer)
        case Recording(paused):
            message.recording.CopyFrom(pb.Recording(paused=paused))
        case SessionEnded(reason, after_playback, summary):
            wire_reason = pb.EndReason.Value(f"END_REASON_{reason.name}")
            ended = pb.SessionEnded(reason=wire_reason, after_playback=after_playback, summary=summary)
            message.session_ended.CopyFrom(ended)
        case Custom(name, payload):
            message.custom.CopyFrom(pb.Custom(name=name, payload=struct_of(payload)))


def _prompt_to_wire(prompt: Prompt) -> pb.Prompt:
    message = pb.Prompt(
        id=prompt.id,
        kind=pb.PromptKind.Value(f"PROMPT_KIND_{prompt.kind.name}"),
        interruptible=prompt.interruptible,
        locale=prompt.locale,
        last=prompt.last,
    )
    if prompt.ssml:
        message.ssml = prompt.text
    else:
        message.text = prompt.text
    return message


def _input_spec_to_wire(spec: InputSpec) -> pb.InputSpec:
    message = pb.InputSpec(
        mode=pb.InputMode.Value(f"INPUT_MODE_{spec.mode.name}"),
        no_input_timeout=to_duration(spec.no_input_timeout),
        complete_silence=to_duration(spec.complete_silence),
        incomplete_silence=to_duration(spec.incomplete_silence),
        max_speech=to_duration(spec.max_speech),
        sensitive=spec.sensitive,
        hints=spec.hints,
        grammar=spec.grammar,
    )
    if spec.dtmf:
        keys, pause = spec.dtmf, to_duration(spec.dtmf.inter_digit_timeout)
        wire = pb.DtmfSpec(length=keys.length, terminator=keys.terminator, inter_digit_timeout=pause)
        message.dtmf.CopyFrom(wire)
    return message


def _prompt_from_wire(message: pb.Prompt) -> Prompt:
    return Prompt(
        text=message.ssml or message.text,
        id=message.id,
        kind=_PROMPT_KINDS.get(message.kind, PromptKind.UNSPECIFIED),
        interruptible=message.interruptible if message.HasField("interruptible") else True,
        locale=message.locale,
        last=message.last,
        ssml=bool(message.ssml),
    )


def _input_spec_from_wire(message: pb.InputSpec) -> InputSpec:
    keys = message.dtmf
    return InputSpec(
        mode=_INPUT_MODES.get(message.mode, InputMode.UNSPECIFIED),
        no_input_timeout=duration_of(message, "no_input_timeout"),
        complete_silence=duration_of(message, "complete_silence"),
        incomplete_silence=duration_of(message, "incomplete_silence"),
        max_speech=duration_of(message, "max_speech"),
        dtmf=DtmfSpec(keys.length, keys.terminator, duration_of(keys, "inter_digit_timeout"))
        if message.HasField("dtmf")
        else None,
        sensitive=message.sensitive,
        hints=tuple(message.hints),
        grammar=message.grammar,
    )


def _after_playback(message: pb.Transfer | pb.SessionEnded) -> bool:
    return message.after_playback if message.HasField("after_playback") else True


LIVE_READERS: dict[str, Callable[[Any], LiveBody]] = {  # Any: each reader takes the member of its name
    "session_ready": lambda member: SessionReady(
        member.session_id,
        member.conversation_id,
        duration_of(member, "keepalive"),
        member.resume_token,
        member.resumed,
        member.last_input_sequence,
    ),
    "pong": lambda member: Pong(member.id),
    "go_away": lambda member: GoAway(duration_of(member, "time_left") or timedelta(0), member.resume_token),
    "prompt": _prompt_from_wire,
    "input_spec": _input_spec_from_wire,
    "transfer": lambda member: Transfer(
        member.target,
        _TRANSFER_KINDS.get(member.kind, TransferKind.UNSPECIFIED),
        _after_playback(member),
        member.summary,
    ),
    "recording": lambda member: Recording(member.paused),
    "custom": lambda member: Custom(member.name, json_of(member.payload)),
    "session_ended": lambda member: SessionEnded(
        _END_REASONS.get(member.reason, EndReason.UNSPECIFIED), _after_playback(member), member.summary
    ),
}
