"""The JSON form of what commands print: the contract's own, the same that `curl` gets from the edge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from lmos_grpc.domain.failure import FailureDetail
from lmos_grpc.wire.decision import candidate_to_wire, decision_to_wire
from lmos_grpc.wire.event import event_to_wire
from lmos_grpc.wire.failure import failure_to_wire
from lmos_grpc.wire.instance import agent_to_wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lmos_grpc.domain.decision import Candidate, Decision
    from lmos_grpc.domain.event import AgentEvent
    from lmos_grpc.domain.instance import Agent

JsonObject = dict[str, Any]  # Any: JSON values


def event_json(event: AgentEvent) -> JsonObject:
    """An event as JSON."""
    return json_format.MessageToDict(event_to_wire(event))


def decision_json(decision: Decision) -> JsonObject:
    """A decision as JSON."""
    return json_format.MessageToDict(decision_to_wire(decision))


def why_not_json(outcome: Decision | FailureDetail, obstacles: Iterable[Candidate]) -> JsonObject:
    """What keeps an agent from a turn, as in the response of `ExplainRoute`."""
    if isinstance(outcome, FailureDetail):
        became = {"error": failure_json(outcome)}
    else:
        became = {"decision": decision_json(outcome)}
    return {**became, "whyNot": [json_format.MessageToDict(candidate_to_wire(each)) for each in obstacles]}


def agent_json(agent: Agent) -> JsonObject:
    """An agent with its instances as JSON."""
    return json_format.MessageToDict(agent_to_wire(agent))


def failure_json(detail: FailureDetail) -> JsonObject:
    """A failure as JSON."""
    return json_format.MessageToDict(failure_to_wire(detail))
