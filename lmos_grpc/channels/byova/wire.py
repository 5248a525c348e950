"""Webex's messages and ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmos_grpc.channels.byova.caller_input import CallerInput, Happening, Keys, Sound
from lmos_grpc.channels.byova.messages import ListVAResponse, VoiceVAResponse, number_of
from lmos_grpc.channels.speech.g711 import Coding
from lmos_grpc.domain.live_session import InputMode

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from lmos_grpc.channels.byova.reply import Reply
    from lmos_grpc.domain.live_session import InputSpec

_MAX_ID = 128
_HAPPENINGS = {
    number_of("EventInput.EventType", name): each
    for name, each in (
        ("SESSION_START", Happening.SESSION_START),
        ("SESSION_END", Happening.SESSION_END),
        ("NO_INPUT", Happening.NO_INPUT),
        ("START_OF_DTMF", Happening.START_OF_DTMF),
        ("CUSTOM_EVENT", Happening.CUSTOM),
    )
}
_KEYS = dict(zip(range(1, 17), "1234567890ABCD*#", strict=True))
_KEY_NUMBERS = {key: number for number, key in _KEYS.items()}
_CODINGS = {number_of("VoiceInput.VoiceEncoding", f"{each.name}_FORMAT"): each for each in Coding}
_MODES = {
    InputMode.VOICE: "INPUT_VOICE",
    InputMode.DTMF: "INPUT_EVENT_DTMF",
}
# What Webex is told where an agent says nothing: as the voice edge has it.
_NO_INPUT_MILLISECONDS = 6_000
_COMPLETE_MILLISECONDS = 300
_INCOMPLETE_MILLISECONDS = 800
_LONGEST_MILLISECONDS = 20_000
_INTER_DIGIT_MILLISECONDS = 3_000


def input_from_wire(request: Any) -> CallerInput:  # Any: a message whose class is made at run time
    """What a message tells. Ids are cut where ours may not be as long."""
    given: Sound | Keys | Happening | None = None
    match request.WhichOneof("voice_va_input_type"):
        case "audio_input":
            audio = request.audio_input
            rate = max(0, audio.sample_rate_hertz)
            given = Sound(audio.caller_audio, _CODINGS.get(audio.encoding), rate, audio.is_single_utterance)
        case "dtmf_input":
            given = Keys("".join(_KEYS.get(each, "") for each in request.dtmf_input.dtmf_events))
        case "event_input":
            given = _HAPPENINGS.get(request.event_input.event_type)
    return CallerInput(
        conversation_id=request.conversation_id[:_MAX_ID],
        org_id=request.customer_org_id[:_MAX_ID],
        agent_id=request.virtual_agent_id[:_MAX_ID],
        language=request.audio_input.language_code,
        given=given,
    )


def reply_to_wire(reply: Reply) -> Any:  # Any: a message whose class is made at run time
    """A reply as it travels."""
    message = VoiceVAResponse(response_type=number_of("VoiceVAResponse.ResponseType", reply.kind.name))
    if reply.text or reply.sound:
        message.prompts.add(
            text=reply.text, audio_content=reply.sound, is_barge_in_enabled=reply.interruptible and not reply.metadata
        )
    if reply.event:
        event = message.output_events.add(event_type=number_of("OutputEvent.EventType", reply.event.name))
        event.metadata.update(dict(reply.metadata))
    if reply.summary:
        message.session_summary.text = reply.summary
    _expect(message, reply.expects)
    return message


def agents_to_wire(names: Iterable[tuple[str, str]], default: str) -> Any:  # Any: made at run time
    """The virtual agents that a flow can choose: ids and names."""
    message = ListVAResponse()
    for agent_id, name in names:
        message.virtual_agents.add(virtual_agent_id=agent_id, virtual_agent_name=name, is_default=agent_id == default)
    return message


def _expect(message: Any, spec: InputSpec) -> None:
    message.input_sensitive = spec.sensitive
    message.input_mode = number_of("VoiceVAInputMode", _MODES.get(spec.mode, "INPUT_VOICE_DTMF"))
    timers = message.input_handling_config.speech_timers
    timers.no_input_timeout_msec = _milliseconds(spec.no_input_timeout, _NO_INPUT_MILLISECONDS)
    timers.complete_timeout_msec = _milliseconds(spec.complete_silence, _COMPLETE_MILLISECONDS)
    timers.incomplete_timeout_msec = _milliseconds(spec.incomplete_silence, _INCOMPLETE_MILLISECONDS)
    timers.max_speech_timeout_msec = _milliseconds(spec.max_speech, _LONGEST_MILLISECONDS)
    keys, config = spec.dtmf, message.input_handling_config.dtmf_config
    pause = keys.inter_digit_timeout if keys else None
    config.inter_digit_timeout_msec = _milliseconds(pause, _INTER_DIGIT_MILLISECONDS)
    config.termchar = _KEY_NUMBERS.get(keys.terminator if keys else "#", 0)
    config.dtmf_input_length = keys.length if keys else 0


def _milliseconds(span: timedelta | None, default: int) -> int:
    return default if span is None else min(int(span.total_seconds() * 1_000), 2**31 - 1)
