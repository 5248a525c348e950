"""What a session knows, as it is kept between two processes."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from lmos.agent.v1 import agent_service_pb2 as pb

from lmos_grpc.agent_service.session_turn import SessionState
from lmos_grpc.domain.event import Source
from lmos_grpc.domain.live_session import HeardAnswer, SessionStart
from lmos_grpc.domain.turn import CallContext
from lmos_grpc.wire.live_session import session_input_to_wire
from lmos_grpc.wire.session_input import session_input_from_wire


def start_to_bytes(state: SessionState) -> bytes:
    """How the session began, with the changes since, and the number of its last input."""
    return session_input_to_wire(state.start, state.last_input).SerializeToString()


def known_to_json(state: SessionState) -> str:
    """All else that it knows, beside its token and its tenant."""
    heard = state.heard
    known = {
        "session_id": state.session_id,
        "channel": state.context.channel,
        "subset": state.context.subset,
        "visited": state.context.visited,
        "last_turn": state.last_turn,
        "last_turn_sensitive": state.last_turn_sensitive,
        "speaker": _source_to_list(state.speaker),
        "asked_by": _source_to_list(state.asked_by),
        "sensitive": state.sensitive,
        "heard": heard
        and [heard.turn_id, heard.text, heard.interrupted, heard.played and heard.played.total_seconds()],
    }
    return json.dumps(known)


def state_from_bytes(known_json: str, start: bytes, token: str, tenant: str) -> SessionState:
    """The same, read back."""
    known: dict[str, Any] = json.loads(known_json)  # Any: JSON values
    request = pb.ConverseRequest.FromString(start)
    started = session_input_from_wire(request)
    heard = known["heard"]
    if heard:
        turn_id, text, interrupted, played = heard
        heard = HeardAnswer(
            turn_id, text, interrupted=interrupted, played=None if played is None else timedelta(seconds=played)
        )
    return SessionState(
        known["session_id"],
        token,
        CallContext(tenant, known["channel"], known["subset"], tuple(known["visited"])),
        started if isinstance(started, SessionStart) else SessionStart(),
        last_input=request.sequence,
        last_turn=known["last_turn"],
        last_turn_sensitive=known["last_turn_sensitive"],
        speaker=_source_from_list(known["speaker"]),
        asked_by=_source_from_list(known["asked_by"]),
        sensitive=known["sensitive"],
        heard=heard or None,
    )


def _source_to_list(source: Source | None) -> list[str] | None:
    return [source.agent, source.version, source.capability] if source else None


def _source_from_list(names: list[str] | None) -> Source | None:
    if not names:
        return None
    agent, version, capability = names
    return Source(agent, version, capability)
