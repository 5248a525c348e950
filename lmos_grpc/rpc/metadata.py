"""Call metadata: for whom a call is, and where the turn has been."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from lmos_grpc.domain.card import AgentKey
from lmos_grpc.domain.decision import Decision, DecisionMode, Target
from lmos_grpc.domain.turn import CallContext, Lane
from lmos_grpc.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lmos_grpc.domain.turn import TurnRequest

TENANT_HEADER = "x-lmos-tenant"
CHANNEL_HEADER = "x-lmos-channel"
SUBSET_HEADER = "x-lmos-subset"
CONVERSATION_HEADER = "x-lmos-conversation"
VISITED_HEADER = "x-lmos-visited"
ROUTE_HEADER = "x-lmos-route"
CAPABILITY_HEADER = "x-lmos-capability"
AGENT_HEADER = "x-lmos-agent"
# Set by the edge where somebody outside asks about the registry, or about a route.
OUTSIDER_HEADER = "x-lmos-outsider"
LANE_HEADER = "x-lmos-lane"
MODE_HEADER = "x-lmos-mode"
WHY_HEADER = "x-lmos-why"
_AS_BEFORE = "the same turn came before"

Metadata = tuple[tuple[str, str], ...]
_NOT_SAFE = re.compile("[^!-~]")


def context_from_metadata(metadata: Iterable[tuple[str, str | bytes]] | None) -> CallContext:
    """For whom a call is; what is not said has the default."""
    said = {key: value for key, value in metadata or () if isinstance(value, str) and value}
    default = CallContext()
    return CallContext(
        tenant=said.get(TENANT_HEADER, default.tenant),
        channel=said.get(CHANNEL_HEADER, default.channel),
        subset=said.get(SUBSET_HEADER, default.subset),
        visited=tuple(name for name in said.get(VISITED_HEADER, "").split(",") if name),
        lane=Lane.EXPRESS if said.get(LANE_HEADER) == Lane.EXPRESS.value else default.lane,
    )


def is_outsider(metadata: Iterable[tuple[str, str | bytes]] | None) -> bool:
    """Whether a question came over the edge; `envoy/edge_listener.yaml` marks those, and nobody outside can undo it."""
    return any(key == OUTSIDER_HEADER for key, _ in metadata or ())


def context_to_metadata(context: CallContext, *, conversation_id: str = "", route: str = "") -> Metadata:
    """What a call carries on: the context, the conversation for consistent hashing, and the route where it is known.

    Raises:
        InvalidRequestError: a value of the context is nothing that a header can carry.
    """
    pairs = (
        (TENANT_HEADER, context.tenant),
        (CHANNEL_HEADER, context.channel),
        (SUBSET_HEADER, context.subset),
        (VISITED_HEADER, ",".join(context.visited)),
        (CONVERSATION_HEADER, header_safe(conversation_id)),
        (ROUTE_HEADER, route),
    )
    for key, value in pairs:
        if not (value.isascii() and value.isprintable()):
            raise InvalidRequestError(
                f"{key} is {value!r}: it travels as a header, so give it in plain ASCII", field=key
            )
    return tuple((key, value) for key, value in pairs if value)


def express_headers(target: Target) -> dict[str, str]:
    """The headers by which Envoy sends a turn straight to its agent, and by which the agent learns what for."""
    headers = {
        LANE_HEADER: Lane.EXPRESS.value,
        ROUTE_HEADER: target.key.route,
        CAPABILITY_HEADER: target.capability,
    }
    return {key: value for key, value in headers.items() if value}


def decision_from_metadata(metadata: Iterable[tuple[str, str | bytes]] | None) -> Decision | None:
    """The decision that the metadata of a response tells of; None where there is none, as on the managed lane."""
    said = {key: value for key, value in metadata or () if isinstance(value, str) and value}
    key = AgentKey.from_route(said.get(ROUTE_HEADER, ""))
    if said.get(LANE_HEADER) != Lane.EXPRESS.value or key is None:
        return None
    modes = {each.value: each for each in DecisionMode}
    target = Target(key.name, key.version, key.subset, said.get(CAPABILITY_HEADER, ""))
    # A turn that came again goes where it went, and nobody says any more why that was.
    mode, why = modes.get(said.get(MODE_HEADER, "")), unquote(said.get(WHY_HEADER, ""))
    return Decision(mode or DecisionMode.CONVERSATION, why or _AS_BEFORE, (target,), lane=Lane.EXPRESS)


def with_capability_from(metadata: Iterable[tuple[str, str | bytes]] | None, turn: TurnRequest) -> TurnRequest:
    """The turn with the capability that the mesh chose, where the message itself names none."""
    if turn.hint.capability:
        return turn
    chosen = next((value for key, value in metadata or () if key == CAPABILITY_HEADER and isinstance(value, str)), "")
    return replace(turn, hint=replace(turn.hint, capability=chosen)) if chosen else turn


def header_safe(text: str) -> str:
    """The text with everything that a header cannot carry replaced; for hashing, not for reading back."""
    return _NOT_SAFE.sub("_", text)
