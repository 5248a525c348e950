"""Conversations, turns and events on the wire, and as the bytes that are kept of them."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from lmos.agent.v1 import agent_event_pb2 as event_pb
from lmos.agent.v1 import agent_service_pb2 as service_pb
from lmos.agent.v1 import message_pb2
from lmos.conversation.v1 import conversation_service_pb2 as pb

from lmos_grpc.domain.conversation import ConversationState, OpenQuestion, TurnKey, TurnRecord
from lmos_grpc.domain.event import AgentEvent, Clarification, Source
from lmos_grpc.domain.turn import Message, Role
from lmos_grpc.errors import InvalidRequestError
from lmos_grpc.wire.event import event_from_wire, event_to_wire, outcome_from_wire, outcome_to_wire
from lmos_grpc.wire.time import moment_of, to_timestamp
from lmos_grpc.wire.turn import hint_to_wire, message_from_wire, message_to_wire

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from lmos_grpc.domain.conversation import Conversation
    from lmos_grpc.domain.turn import TurnRequest


def message_to_bytes(message: Message) -> bytes:
    """The message as it is kept."""
    return message_to_wire(message).SerializeToString()


def message_from_bytes(payload: bytes) -> Message:
    """The message that was kept."""
    return message_from_wire(message_pb2.Message.FromString(payload))


def responses_to_bytes(responses: Iterable[Message]) -> bytes:
    """The responses of a turn as they are kept."""
    return pb.Turn(responses=[message_to_wire(each) for each in responses]).SerializeToString()


def responses_from_bytes(payload: bytes) -> tuple[Message, ...]:
    """The responses that were kept."""
    return tuple(message_from_wire(each, default_role=Role.AGENT) for each in pb.Turn.FromString(payload).responses)


def question_to_bytes(question: OpenQuestion | None) -> bytes:
    """The open question as it is kept; none is empty."""
    if question is None:
        return b""
    source = Source(question.agent, capability=question.capability)
    return event_to_wire(AgentEvent(0, "", question.clarification, source)).SerializeToString()


def question_from_bytes(payload: bytes) -> OpenQuestion | None:
    """The open question that was kept."""
    if not payload:
        return None
    event = event_from_wire(event_pb.AgentEvent.FromString(payload))
    if not isinstance(event.body, Clarification):
        raise TypeError(f"an open question was kept as {type(event.body).__name__}")
    return OpenQuestion(event.body, event.source.agent, event.source.capability)


def fingerprint_of(request: TurnRequest) -> bytes:
    """What tells a turn from another with its id: 32 bytes for the message, and 32 for the hint and the answer."""
    rest = service_pb.InvokeRequest(route_hint=hint_to_wire(request.hint))
    if request.answer is not None:
        rest.answer.clarification_id = request.answer.clarification_id
        rest.answer.option_id = request.answer.option_id
    return fingerprint_of_message(request.message) + sha256(rest.SerializeToString(deterministic=True)).digest()


def fingerprint_of_message(message: Message) -> bytes:
    """The part of a fingerprint that a recorded turn has too: of what was said, not of when."""
    said = message_to_wire(Message(Role.USER, message.parts))
    return sha256(said.SerializeToString(deterministic=True)).digest()


def conversation_to_wire(conversation: Conversation) -> pb.Conversation:
    """The conversation as it travels."""
    return pb.Conversation(
        conversation_id=conversation.conversation_id,
        channel=conversation.channel,
        create_time=to_timestamp(conversation.created_at),
        update_time=to_timestamp(conversation.updated_at),
        turn_count=conversation.state.turn_count,
        last_agent=conversation.state.last_agent,
    )


def record_to_wire(record: TurnRecord) -> pb.Turn:
    """The turn as it travels."""
    return pb.Turn(
        turn_id=record.key.turn_id,
        request=message_to_wire(record.request),
        responses=[message_to_wire(each) for each in record.responses],
        outcome=outcome_to_wire(record.outcome) if record.outcome else event_pb.OUTCOME_UNSPECIFIED,
        create_time=to_timestamp(record.created_at),
        end_time=to_timestamp(record.ended_at),
        last_sequence=record.last_sequence,
        capability=record.capability,
    )


def record_from_wire(turn: pb.Turn, tenant: str, conversation_id: str, now: datetime) -> TurnRecord:
    """The turn; the times that were not said are now.

    Raises:
        InvalidRequestError: a time is out of the range of a timestamp.
    """
    responses = (message_from_wire(each, default_role=Role.AGENT) for each in turn.responses)
    return TurnRecord(
        key=TurnKey(tenant, conversation_id, turn.turn_id),
        request=replace(message_from_wire(turn.request), role=Role.USER),
        responses=tuple(responses),
        outcome=outcome_from_wire(turn.outcome),
        created_at=_moment(turn, "create_time") or now,
        ended_at=_moment(turn, "end_time") or now,
        last_sequence=turn.last_sequence,
        capability=turn.capability,
    )


def state_to_wire(state: ConversationState | None) -> pb.GetRoutingStateResponse:
    """What routing has to know before a turn; None: the log has that turn."""
    if state is None:
        return pb.GetRoutingStateResponse(has_turn=True)
    question = state.open_question
    return pb.GetRoutingStateResponse(
        last_agent=state.last_agent,
        last_capability=state.last_capability,
        turn_count=state.turn_count,
        open_question=event_to_wire(AgentEvent(0, "", question.clarification)).clarification if question else None,
        asking_agent=question.agent if question else "",
        asking_capability=question.capability if question else "",
    )


def state_from_wire(message: pb.GetRoutingStateResponse) -> ConversationState | None:
    """As `TurnLog.state_before` gives it."""
    if message.has_turn:
        return None
    question = None
    if message.HasField("open_question"):
        asked = event_from_wire(event_pb.AgentEvent(clarification=message.open_question)).body
        if isinstance(asked, Clarification):  # always, as it was made of one
            question = OpenQuestion(asked, message.asking_agent, message.asking_capability)
    return ConversationState(message.last_agent, message.last_capability, question, message.turn_count)


def _moment(turn: pb.Turn, field: str) -> datetime | None:
    try:
        return moment_of(turn, field)
    except (ValueError, OverflowError) as error:
        raise InvalidRequestError(
            f"turn.{field} is no time between the years 1 and 9999", field=f"turn.{field}"
        ) from error
