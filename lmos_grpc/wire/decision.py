"""Decisions on the wire."""

from __future__ import annotations

from datetime import timedelta

from lmos.agent.v1 import decision_pb2 as pb

from lmos_grpc.domain.card import DEFAULT_SUBSET
from lmos_grpc.domain.decision import Candidate, Decision, DecisionMode, Exclusion, Governance, Target
from lmos_grpc.domain.turn import Lane
from lmos_grpc.wire.time import duration_of, to_duration
from lmos_grpc.wire.turn import LANES, LANES_BACK, strategy_from_wire, strategy_to_wire

_MODES = {mode: pb.DecisionMode.Value(f"DECISION_MODE_{mode.name}") for mode in DecisionMode}
_MODES_BACK = {wire: mode for mode, wire in _MODES.items()}
_EXCLUSIONS = {
    each: pb.Exclusion.Value(f"EXCLUSION_{'UNSPECIFIED' if each is Exclusion.NONE else each.name}")
    for each in Exclusion
}
_EXCLUSIONS_BACK = {wire: each for each, wire in _EXCLUSIONS.items()}
_MAX_CANDIDATES = 20
_MAX_UNRESOLVED = 20


def decision_to_wire(decision: Decision) -> pb.Decision:
    """The decision as it travels."""
    return pb.Decision(
        mode=_MODES[decision.mode],
        lane=LANES[decision.lane],
        strategy=strategy_to_wire(decision.strategy),
        targets=[_target_to_wire(each) for each in decision.targets],
        candidates=[candidate_to_wire(each) for each in decision.candidates[:_MAX_CANDIDATES]],
        reason=decision.reason,
        classifier=decision.classifier,
        elapsed=to_duration(decision.elapsed),
        governance=_governance_to_wire(decision.governance) if decision.governance else None,
    )


def decision_from_wire(message: pb.Decision) -> Decision:
    """The decision; a mode that is not known counts as classified."""
    return Decision(
        mode=_MODES_BACK.get(message.mode, DecisionMode.CLASSIFIED),
        reason=message.reason,
        targets=tuple(_target_from_wire(each) for each in message.targets),
        candidates=tuple(candidate_from_wire(each) for each in message.candidates),
        strategy=strategy_from_wire(message.strategy),
        lane=LANES_BACK.get(message.lane, Lane.UNSPECIFIED),
        classifier=message.classifier,
        elapsed=duration_of(message, "elapsed") or timedelta(0),
        governance=_governance_from_wire(message.governance) if message.HasField("governance") else None,
    )


def _target_to_wire(target: Target) -> pb.Target:
    return pb.Target(
        agent=target.agent,
        version=target.version,
        capability=target.capability,
        subset=target.subset,
        text=target.text,
    )


def _target_from_wire(message: pb.Target) -> Target:
    return Target(
        agent=message.agent,
        version=message.version,
        subset=message.subset or DEFAULT_SUBSET,
        capability=message.capability,
        text=message.text,
    )


def _governance_to_wire(governance: Governance) -> pb.Governance:
    return pb.Governance(
        channel=governance.channel,
        subset=governance.subset,
        allowed=governance.allowed,
        excluded=[
            pb.Excluded(exclusion=_EXCLUSIONS[each], count=count)
            for each, count in sorted(governance.excluded.items(), key=lambda entry: (-entry[1], entry[0].value))
        ],
        unresolved=governance.unresolved[:_MAX_UNRESOLVED],
    )


def _governance_from_wire(message: pb.Governance) -> Governance:
    return Governance(
        channel=message.channel,
        subset=message.subset or DEFAULT_SUBSET,
        allowed=message.allowed,
        excluded={_EXCLUSIONS_BACK.get(each.exclusion, Exclusion.NONE): each.count for each in message.excluded},
        unresolved=tuple(message.unresolved),
    )


def candidate_to_wire(candidate: Candidate) -> pb.Candidate:
    """A candidate as it travels."""
    return pb.Candidate(
        agent=candidate.agent,
        version=candidate.version,
        capability=candidate.capability,
        subset=candidate.subset,
        score=candidate.score,
        chosen=candidate.chosen,
        exclusion=_EXCLUSIONS[candidate.exclusion],
        reason=candidate.reason,
    )


def candidate_from_wire(message: pb.Candidate) -> Candidate:
    """The candidate; an exclusion that is not known counts as none."""
    return Candidate(
        agent=message.agent,
        version=message.version,
        capability=message.capability,
        subset=message.subset or DEFAULT_SUBSET,
        score=message.score,
        chosen=message.chosen,
        exclusion=_EXCLUSIONS_BACK.get(message.exclusion, Exclusion.NONE),
        reason=message.reason,
    )
