"""Messages, turns and route hints on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from lmos.agent.v1 import agent_service_pb2 as service_pb
from lmos.agent.v1 import decision_pb2
from lmos.agent.v1 import message_pb2 as pb

from lmos_grpc.domain.turn import (
    ClarificationAnswer,
    DataPart,
    FilePart,
    Lane,
    Message,
    Role,
    RouteHint,
    Strategy,
    StrategyKind,
    TextPart,
    TurnRequest,
    User,
)
from lmos_grpc.wire.live_session import live_turn_to_wire
from lmos_grpc.wire.session_input import live_turn_from_wire
from lmos_grpc.wire.time import duration_of, moment_of, to_duration, to_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmos_grpc.domain.turn import (
        CallContext,
        Part,
    )

_ROLES = {Role.USER: pb.ROLE_USER, Role.AGENT: pb.ROLE_AGENT}
_ROLES_BACK = {wire: role for role, wire in _ROLES.items()}
_KINDS = {kind: decision_pb2.StrategyKind.Value(f"STRATEGY_KIND_{kind.name}") for kind in StrategyKind}
_KINDS_BACK = {wire: kind for kind, wire in _KINDS.items()}
LANES = {lane: decision_pb2.Lane.Value(f"LANE_{lane.name}") for lane in Lane}
LANES_BACK = {wire: lane for lane, wire in LANES.items()}
_NO_HINT = RouteHint()
_NO_STRATEGY = Strategy()


def message_to_wire(message: Message) -> pb.Message:
    """The message as it travels."""
    return pb.Message(
        role=_ROLES[message.role],
        parts=[_part_to_wire(part) for part in message.parts],
        agent=message.agent,
        turn_id=message.turn_id,
        create_time=to_timestamp(message.created_at),
        interrupted=message.interrupted,
    )


def message_from_wire(message: pb.Message, *, default_role: Role = Role.USER) -> Message:
    """The message; parts of a kind that is not known are left out."""
    parts = (_part_from_wire(part) for part in message.parts)
    return Message(
        role=_ROLES_BACK.get(message.role, default_role),
        parts=tuple(part for part in parts if part is not None),
        agent=message.agent,
        turn_id=message.turn_id,
        created_at=moment_of(message, "create_time"),
        interrupted=message.interrupted,
    )


def struct_of(data: Mapping[str, Any]) -> Struct:  # Any: JSON values
    """JSON values as a Struct.

    Raises:
        google.protobuf.json_format.ParseError: the data is no JSON object.
    """
    return json_format.ParseDict(dict(data), Struct())


def turn_to_wire(turn: TurnRequest) -> service_pb.InvokeRequest:
    """The turn as it travels; its context travels as metadata beside it."""
    request = service_pb.InvokeRequest(
        conversation_id=turn.conversation_id,
        turn_id=turn.turn_id,
        message=message_to_wire(turn.message),
        history=[message_to_wire(each) for each in turn.history],
        route_hint=hint_to_wire(turn.hint),
        user=pb.User(id=turn.user.id, locale=turn.user.locale, attributes=turn.user.attributes),
        sensitive=turn.sensitive,
        live=live_turn_to_wire(turn.live) if turn.live else None,
    )
    if turn.answer:
        request.answer.clarification_id = turn.answer.clarification_id
        request.answer.option_id = turn.answer.option_id
    return request


def turn_from_wire(request: service_pb.InvokeRequest, context: CallContext) -> TurnRequest:
    """The turn, with the context that came beside it."""
    answer = request.answer if request.HasField("answer") else None
    return TurnRequest(
        message=message_from_wire(request.message),
        conversation_id=request.conversation_id,
        turn_id=request.turn_id,
        history=tuple(message_from_wire(each) for each in request.history),
        hint=hint_from_wire(request.route_hint) if request.HasField("route_hint") else _NO_HINT,
        user=_user_from_wire(request.user) if request.HasField("user") else User(),
        answer=ClarificationAnswer(answer.clarification_id, answer.option_id) if answer else None,
        context=context,
        sensitive=request.sensitive,
        live=live_turn_from_wire(request.live) if request.HasField("live") else None,
    )


def _user_from_wire(message: pb.User) -> User:
    return User(message.id, message.locale, dict(message.attributes))


def hint_to_wire(hint: RouteHint) -> decision_pb2.RouteHint:
    """The route hint as it travels."""
    return decision_pb2.RouteHint(
        agent=hint.agent,
        capability=hint.capability,
        version_range=hint.version_range,
        strategy=strategy_to_wire(hint.strategy),
        lane=LANES[hint.lane],
    )


def hint_from_wire(message: decision_pb2.RouteHint) -> RouteHint:
    """The route hint."""
    return RouteHint(
        agent=message.agent,
        capability=message.capability,
        version_range=message.version_range,
        strategy=strategy_from_wire(message.strategy) if message.HasField("strategy") else _NO_STRATEGY,
        lane=LANES_BACK.get(message.lane, Lane.UNSPECIFIED),
    )


def strategy_to_wire(strategy: Strategy) -> decision_pb2.Strategy:
    """The strategy as it travels."""
    return decision_pb2.Strategy(
        kind=_KINDS[strategy.kind],
        quorum=strategy.quorum,
        max_branches=strategy.max_branches,
        branch_budget=to_duration(strategy.branch_budget),
        hedge_delay=to_duration(strategy.hedge_delay),
        turn_budget=to_duration(strategy.turn_budget),
    )


def strategy_from_wire(message: decision_pb2.Strategy) -> Strategy:
    """The strategy, with what was not said filled in."""
    return Strategy(
        kind=_KINDS_BACK.get(message.kind, StrategyKind.UNSPECIFIED),
        quorum=message.quorum,
        max_branches=message.max_branches or _NO_STRATEGY.max_branches,
        branch_budget=duration_of(message, "branch_budget"),
        hedge_delay=duration_of(message, "hedge_delay"),
        turn_budget=duration_of(message, "turn_budget"),
    )


def _part_to_wire(part: Part) -> pb.Part:
    match part:
        case TextPart(text, media_type):
            return pb.Part(text=text, media_type=media_type)
        case DataPart(data, media_type):
            return pb.Part(data=struct_of(data), media_type=media_type)
        case FilePart(uri, name, media_type, size_bytes):
            file = pb.FileReference(uri=uri, name=name, size_bytes=size_bytes)
            return pb.Part(file=file, media_type=media_type)


def _part_from_wire(part: pb.Part) -> Part | None:
    match part.WhichOneof("content"):
        case "text":
            return TextPart(part.text, part.media_type or "text/plain")
        case "data":
            return DataPart(json_format.MessageToDict(part.data), part.media_type or "application/json")
        case "file":
            return FilePart(part.file.uri, part.file.name, part.media_type, part.file.size_bytes)
        case _:
            return None
