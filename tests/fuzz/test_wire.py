"""The shared parser: what goes out comes back the same, and nothing that comes in breaks it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from lmos.agent.v1 import agent_card_pb2, agent_event_pb2, agent_service_pb2
from lmos.discovery.v1 import discovery_service_pb2

from lmos_grpc.domain import card, decision, event, failure, instance, turn
from lmos_grpc.wire.card import card_from_wire, card_to_wire
from lmos_grpc.wire.event import event_from_wire, event_to_wire
from lmos_grpc.wire.failure import failure_from_status, failure_to_status
from lmos_grpc.wire.instance import agent_from_wire, agent_to_wire, update_from_wire, update_to_wire
from lmos_grpc.wire.turn import turn_from_wire, turn_to_wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

words = st.text(max_size=20)
names = st.text(min_size=1, max_size=20)
counts = st.integers(0, 2**31 - 1)
spans = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=1))
word_maps = st.dictionaries(words, words, max_size=3)
json_values = st.dictionaries(
    words, st.one_of(words, st.booleans(), st.none(), st.lists(words, max_size=3)), max_size=3
)


def tuples_of(each: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(each, max_size=3).map(tuple)


capabilities = st.builds(
    card.Capability,
    id=words,
    version=words,
    description=words,
    name=words,
    examples=st.dictionaries(words, tuples_of(words), max_size=3),
    tags=tuples_of(words),
    input_modes=tuples_of(words),
    output_modes=tuples_of(words),
    input_schema=words,
)
cards = st.builds(
    card.AgentCard,
    name=words,
    version=words,
    description=words,
    capabilities=tuples_of(capabilities),
    provider_organization=words,
    provider_url=words,
    locales=tuples_of(words),
    tenants=st.frozensets(words, max_size=3),
    channels=st.frozensets(words, max_size=3),
    labels=word_maps,
    subset=names,
)
instances = st.builds(
    instance.Instance,
    instance_id=words,
    address=words,
    card=cards,
    lease=st.builds(
        instance.Lease,
        instance_id=words,
        epoch=counts,
        ttl=st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(minutes=5)),
    ),
    load=st.builds(instance.Load, active_turns=counts, capacity=counts),
)
updates = st.builds(
    instance.RegistryUpdate,
    revision=counts,
    resume_token=words,
    body=st.one_of(
        st.builds(instance.SnapshotPart, tuples_of(instances), first=st.booleans(), last=st.booleans()),
        st.builds(instance.InstancePut, instances),
        st.builds(instance.InstanceRemoved, words, st.sampled_from(instance.RemovalReason)),
        st.just(instance.Heartbeat()),
    ),
)
parts = st.one_of(
    st.builds(turn.TextPart, words, names),
    st.builds(turn.DataPart, json_values, names),
    st.builds(turn.FilePart, words, words, words, counts),
)
messages = st.builds(turn.Message, st.sampled_from(turn.Role), tuples_of(parts), words, words)
strategies = st.builds(
    turn.Strategy,
    kind=st.sampled_from(turn.StrategyKind),
    quorum=counts,
    max_branches=st.integers(1, 32),
    branch_budget=st.none() | spans,
    hedge_delay=st.none() | spans,
)
turns = st.builds(
    turn.TurnRequest,
    message=messages,
    conversation_id=words,
    turn_id=words,
    history=tuples_of(messages),
    hint=st.builds(turn.RouteHint, words, words, words, strategies, st.sampled_from(turn.Lane)),
    user=st.builds(turn.User, words, words, word_maps),
    answer=st.none() | st.builds(turn.ClarificationAnswer, words, words),
    context=st.just(turn.CallContext()),
)
details = st.builds(
    failure.FailureDetail,
    code=st.sampled_from(failure.Code),
    reason=st.sampled_from(failure.Reason),
    message=words,
    metadata=word_maps,
    retry_after=st.none() | spans,
)
scores = st.floats(0, 1)
decisions = st.builds(
    decision.Decision,
    mode=st.sampled_from(decision.DecisionMode),
    reason=words,
    targets=tuples_of(st.builds(decision.Target, words, words, names, words, words)),
    candidates=tuples_of(
        st.builds(
            decision.Candidate,
            words,
            words,
            words,
            names,
            scores,
            st.booleans(),
            st.sampled_from(decision.Exclusion),
            words,
        )
    ),
    strategy=strategies,
    lane=st.sampled_from(turn.Lane),
    classifier=words,
    elapsed=spans,
    governance=st.none()
    | st.builds(
        decision.Governance,
        channel=words,
        subset=names,
        allowed=counts,
        excluded=st.dictionaries(st.sampled_from(decision.Exclusion), counts, max_size=3),
        unresolved=tuples_of(words),
    ),
)
sources = st.builds(event.Source, words, words, words, counts)
usages = st.builds(event.Usage, words, counts, counts, counts, words, st.none() | spans, st.none() | spans)
outcomes = st.sampled_from(event.Outcome)
options = st.builds(event.ClarificationOption, words, words, words, words, scores)
bodies = st.one_of(
    st.builds(event.Accepted, words),
    st.builds(event.Routed, decisions),
    st.builds(event.TextDelta, words),
    st.builds(event.MessageDone, messages),
    st.builds(event.Status, words, st.none() | scores),
    st.builds(event.ToolCall, words, words, st.sampled_from(event.ToolCallState), json_values, json_values),
    st.builds(event.Clarification, words, words, tuples_of(options)),
    st.builds(event.Handover, words, words, words, words),
    usages,
    st.builds(event.Failure, details),
    st.builds(
        event.TurnDone,
        outcomes,
        usages,
        tuples_of(st.builds(event.BranchOutcome, sources, outcomes, st.none() | details)),
    ),
)
events = st.builds(event.AgentEvent, counts, words, bodies, sources)


@given(cards)
def test_a_card_comes_back_the_same(told: card.AgentCard) -> None:
    assert card_from_wire(card_to_wire(told)) == told


@given(updates)
def test_a_registry_update_comes_back_the_same(told: instance.RegistryUpdate) -> None:
    assert update_from_wire(update_to_wire(told)) == told


@given(turns)
def test_a_turn_comes_back_the_same(told: turn.TurnRequest) -> None:
    assert turn_from_wire(turn_to_wire(told), told.context) == told


@given(events)
def test_an_event_comes_back_the_same(told: event.AgentEvent) -> None:
    assert event_from_wire(event_to_wire(told)) == told


@given(details)
def test_a_failure_comes_back_the_same_out_of_band(told: failure.FailureDetail) -> None:
    assert failure_from_status(failure_to_status(told)) == told


def survives(data: bytes, kind: type[Message], read: Callable[..., object]) -> None:
    """Reads the bytes as a message of a kind, if they are one."""
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError:
        return
    read(message)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_parser(data: bytes) -> None:
    survives(data, agent_card_pb2.AgentCard, card_from_wire)
    survives(data, agent_event_pb2.AgentEvent, event_from_wire)
    survives(data, discovery_service_pb2.WatchResponse, update_from_wire)
    survives(data, agent_service_pb2.InvokeRequest, lambda message: turn_from_wire(message, turn.CallContext()))


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31 - 1))
def test_no_duration_is_too_long_to_be_read(seconds: int, nanos: int) -> None:
    request = agent_service_pb2.InvokeRequest()
    request.route_hint.strategy.branch_budget.seconds = seconds
    request.route_hint.strategy.branch_budget.nanos = nanos
    assert turn_from_wire(request, turn.CallContext()).hint.strategy.branch_budget is not None


@given(cards, tuples_of(instances))
def test_an_agent_comes_back_the_same(own: card.AgentCard, many: tuple[instance.Instance, ...]) -> None:
    told = instance.Agent(own, (*many, *(replace(each, card=own) for each in many)))
    message = agent_to_wire(told)
    assert agent_from_wire(message) == told
    assert not any(each.HasField("card") and each.card == message.card for each in message.instances)
