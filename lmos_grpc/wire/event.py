"""Agent events on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmos.agent.v1 import agent_event_pb2 as pb

from lmos_grpc.domain.event import (
    Accepted,
    AgentEvent,
    BranchOutcome,
    Clarification,
    ClarificationOption,
    Failure,
    Handover,
    MessageDone,
    Outcome,
    Routed,
    Source,
    Status,
    TextDelta,
    ToolCall,
    ToolCallState,
    TurnDone,
    Unread,
    Usage,
)
from lmos_grpc.domain.live_session import (
    Custom,
    GoAway,
    InputSpec,
    Pong,
    Prompt,
    Recording,
    SessionEnded,
    SessionReady,
    Transfer,
)
from lmos_grpc.domain.turn import Role
from lmos_grpc.wire.decision import decision_from_wire, decision_to_wire
from lmos_grpc.wire.failure import failure_from_wire, failure_to_wire
from lmos_grpc.wire.json_struct import json_of, struct_of
from lmos_grpc.wire.live_session import LIVE_READERS, write_live_body
from lmos_grpc.wire.time import duration_of, to_duration
from lmos_grpc.wire.turn import message_from_wire, message_to_wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.domain.event import (
        EventBody,
    )

_OUTCOMES = {outcome: pb.Outcome.Value(f"OUTCOME_{outcome.name}") for outcome in Outcome}
_OUTCOMES_BACK = {wire: outcome for outcome, wire in _OUTCOMES.items()}
_TOOL_STATES = {state: pb.ToolCallState.Value(f"TOOL_CALL_STATE_{state.name}") for state in ToolCallState}
_TOOL_STATES_BACK = {wire: state for state, wire in _TOOL_STATES.items()}


def outcome_to_wire(outcome: Outcome) -> pb.Outcome.ValueType:
    """The outcome as it travels."""
    return _OUTCOMES[outcome]


def outcome_from_wire(value: pb.Outcome.ValueType) -> Outcome | None:
    """The outcome; None where it is not said, and FAILED where it is not known."""
    return _OUTCOMES_BACK.get(value, Outcome.FAILED) if value else None


def source_to_wire(source: Source) -> pb.Source:
    """The source as it travels."""
    return pb.Source(agent=source.agent, version=source.version, capability=source.capability, branch=source.branch)


def source_from_wire(message: pb.Source) -> Source:
    """The source."""
    return Source(message.agent, message.version, message.capability, message.branch)


def event_to_wire(event: AgentEvent) -> pb.AgentEvent:
    """The event as it travels."""
    message = pb.AgentEvent()
    write_body(event.body, message)
    # After the body: what was not read brings the number and the source that it had before.
    message.sequence = event.sequence
    message.turn_id = event.turn_id
    message.source.CopyFrom(source_to_wire(event.source))
    return message


def event_from_wire(message: pb.AgentEvent) -> AgentEvent:
    """The event; a kind that is not known comes as `Unread`."""
    return AgentEvent(message.sequence, message.turn_id, read_body(message), source_from_wire(message.source))


def read_body(message: pb.AgentEvent) -> EventBody:
    """What happened; a kind that is not known comes as `Unread`."""
    kind = message.WhichOneof("event") or ""
    reader = _READERS.get(kind)
    return reader(getattr(message, kind)) if reader else Unread(kind, message)


def write_body(body: EventBody, message: pb.AgentEvent) -> None:
    """Puts what happened into a message."""
    match body:
        case TextDelta(text):
            message.text_delta.text = text
        case Accepted(conversation_id):
            message.accepted.SetInParent()
            message.accepted.conversation_id = conversation_id
        case Routed(decision):
            message.routed.decision.CopyFrom(decision_to_wire(decision))
        case MessageDone(said):
            message.message.CopyFrom(message_to_wire(said))
        case Failure(detail):
            message.error.CopyFrom(failure_to_wire(detail))
        case Unread(_, payload):
            if not isinstance(payload, pb.AgentEvent):
                raise TypeError(f"cannot write {payload!r} as an event")
            message.MergeFrom(payload)
        case (
            SessionReady()
            | Prompt()
            | InputSpec()
            | Transfer()
            | Recording()
            | Pong()
            | GoAway()
            | SessionEnded()
            | Custom()
        ):
            write_live_body(body, message)
        case _:
            _write_rest(body, message)


def _write_rest(
    body: Status | ToolCall | Clarification | Handover | Usage | TurnDone,
    message: pb.AgentEvent,
) -> None:
    match body:
        case Status():
            message.status.CopyFrom(pb.Status(text=body.text, progress=body.progress))
        case ToolCall():
            message.tool_call.CopyFrom(_tool_call_to_wire(body))
        case Clarification():
            message.clarification.CopyFrom(_clarification_to_wire(body))
        case Handover():
            message.handover.CopyFrom(
                pb.Handover(agent=body.agent, capability=body.capability, reason=body.reason, summary=body.summary)
            )
        case Usage():
            message.usage.CopyFrom(_usage_to_wire(body))
        case TurnDone():
            message.turn_done.CopyFrom(_turn_done_to_wire(body))


def _tool_call_to_wire(call: ToolCall) -> pb.ToolCall:
    return pb.ToolCall(
        id=call.id,
        name=call.name,
        state=_TOOL_STATES[call.state],
        arguments=struct_of(dict(call.arguments)),
        result=struct_of(dict(call.result)),
    )


def _clarification_to_wire(clarification: Clarification) -> pb.Clarification:
    options = [
        pb.ClarificationOption(
            id=each.id, label=each.label, agent=each.agent, capability=each.capability, score=each.score
        )
        for each in clarification.options
    ]
    return pb.Clarification(id=clarification.id, question=clarification.question, options=options)


def _usage_to_wire(usage: Usage) -> pb.Usage:
    return pb.Usage(
        model=usage.model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_micros=usage.cost_micros,
        currency=usage.currency,
        elapsed=to_duration(usage.elapsed),
        time_to_first_token=to_duration(usage.time_to_first_token),
    )


def _turn_done_to_wire(done: TurnDone) -> pb.TurnDone:
    branches = [
        pb.BranchOutcome(
            source=source_to_wire(each.source),
            outcome=_OUTCOMES[each.outcome],
            error=failure_to_wire(each.error) if each.error else None,
        )
        for each in done.branches
    ]
    return pb.TurnDone(outcome=_OUTCOMES[done.outcome], usage=_usage_to_wire(done.usage), branches=branches)


def _tool_call_from_wire(message: pb.ToolCall) -> ToolCall:
    return ToolCall(
        id=message.id,
        name=message.name,
        state=_TOOL_STATES_BACK.get(message.state, ToolCallState.STARTED),
        arguments=json_of(message.arguments),
        result=json_of(message.result),
    )


def _clarification_from_wire(message: pb.Clarification) -> Clarification:
    options = (
        ClarificationOption(each.id, each.label, each.agent, each.capability, each.score) for each in message.options
    )
    return Clarification(message.id, message.question, tuple(options))


def _usage_from_wire(message: pb.Usage) -> Usage:
    return Usage(
        model=message.model,
        input_tokens=message.input_tokens,
        output_tokens=message.output_tokens,
        cost_micros=message.cost_micros,
        currency=message.currency,
        elapsed=duration_of(message, "elapsed"),
        time_to_first_token=duration_of(message, "time_to_first_token"),
    )


def _turn_done_from_wire(message: pb.TurnDone) -> TurnDone:
    branches = (
        BranchOutcome(
            source_from_wire(each.source),
            _OUTCOMES_BACK.get(each.outcome, Outcome.FAILED),
            failure_from_wire(each.error) if each.HasField("error") else None,
        )
        for each in message.branches
    )
    return TurnDone(
        _OUTCOMES_BACK.get(message.outcome, Outcome.FAILED), _usage_from_wire(message.usage), tuple(branches)
    )


_READERS: dict[str, Callable[[Any], EventBody]] = {  # Any: each reader takes the member of its name
    "accepted": lambda member: Accepted(member.conversation_id),
    "routed": lambda member: Routed(decision_from_wire(member.decision)),
    "text_delta": lambda member: TextDelta(member.text),
    "message": lambda member: MessageDone(message_from_wire(member, default_role=Role.AGENT)),
    "status": lambda member: Status(member.text, member.progress if member.HasField("progress") else None),
    "tool_call": _tool_call_from_wire,
    "clarification": _clarification_from_wire,
    "handover": lambda member: Handover(member.agent, member.capability, member.reason, member.summary),
    "usage": _usage_from_wire,
    "error": lambda member: Failure(failure_from_wire(member)),
    "turn_done": _turn_done_from_wire,
    **LIVE_READERS,
}
