"""Live sessions on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos.agent.v1 import agent_event_pb2 as event_pb
from lmos.agent.v1 import agent_service_pb2 as pb

from lmos_grpc.agent_service.session_input import (
    CancelTurn,
    EndSession,
    PingSession,
    PongSession,
    Say,
    SessionEnded,
    SessionReady,
    StartSession,
    UnsupportedInput,
)
from lmos_grpc.domain.event import AgentEvent
from lmos_grpc.wire.event import event_to_wire
from lmos_grpc.wire.time import to_duration

if TYPE_CHECKING:
    from lmos_grpc.agent_service.session_input import SessionAnswer, SessionInput


def input_from_wire(request: pb.ConverseRequest) -> SessionInput | None:  # noqa: PLR0911 # one for each kind of input
    """The input; None where there is nothing to do, such as for text that is not final."""
    kind = request.WhichOneof("input")
    match kind:
        case "start":
            start = request.start
            return StartSession(start.conversation_id, start.locale, start.user_id, start.agent)
        case "user_text":
            said = request.user_text
            return Say(said.text, said.turn_id, said.locale) if said.is_final else None
        case "dtmf" if request.dtmf.complete:
            return Say(request.dtmf.digits, request.dtmf.turn_id)
        case "dtmf" | "signal" | "playback" | "transfer_result":
            # What happened at the edge is told for the record; nothing in the mesh acts on it yet.
            return None
        case "cancel":
            return CancelTurn(request.cancel.turn_id)
        case "ping":
            return PingSession(request.ping.id)
        case "end":
            return EndSession()
        case _:
            return UnsupportedInput(kind or "")


def session_event_to_wire(sequence: int, turn_id: str, event: AgentEvent | SessionAnswer) -> pb.ConverseResponse:
    """An event of the session as it travels, with its number in the session."""
    message = event_pb.AgentEvent()
    match event:
        case AgentEvent():
            message = event_to_wire(event)
        case SessionReady(session_id, conversation_id, keepalive):
            message.session_ready.session_id = session_id
            message.session_ready.conversation_id = conversation_id
            message.session_ready.keepalive.CopyFrom(to_duration(keepalive))
        case PongSession(ping_id):
            message.pong.id = ping_id
        case SessionEnded():
            message.session_ended.SetInParent()
    message.sequence = sequence
    message.turn_id = turn_id
    return pb.ConverseResponse(event=message)
