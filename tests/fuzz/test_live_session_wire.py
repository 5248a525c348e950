"""Live sessions on the wire: what goes out comes back the same, and nothing that comes in breaks the parser."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from lmos.agent.v1 import agent_event_pb2, agent_service_pb2

from lmos_grpc.domain import live_session as live
from lmos_grpc.domain.event import AgentEvent
from lmos_grpc.errors import InvalidRequestError
from lmos_grpc.wire.event import event_from_wire, event_to_wire
from lmos_grpc.wire.live_session import live_turn_to_wire, session_input_to_wire
from lmos_grpc.wire.session_input import live_turn_from_wire, session_input_from_wire

words = st.text(max_size=20)
counts = st.integers(0, 2**31 - 1)
spans = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=1))
maybe_spans = st.one_of(st.none(), spans)
word_maps = st.dictionaries(words, words, max_size=3)
calls = st.builds(live.CallInfo, words, words, words, words, st.sampled_from(live.CallDirection), sip_headers=word_maps)
keys = st.builds(live.KeysPressed, words, st.booleans(), st.sampled_from(live.DtmfEnd), st.booleans(), words)
signals = st.builds(live.Signal, st.sampled_from(live.SignalKind), counts, words)
results = st.builds(live.TransferResult, st.sampled_from(live.TransferOutcome), words, words)
maybe_halves = st.one_of(st.none(), st.just(0.5))
json_values = st.dictionaries(
    words, st.one_of(words, st.booleans(), st.just(0.5), st.lists(words, max_size=2)), max_size=3
)
customs = st.builds(live.Custom, words, json_values)
inputs = st.one_of(
    st.builds(
        live.SessionStart,
        conversation_id=words,
        locale=words,
        user_id=words,
        agent=words,
        call=st.one_of(st.none(), calls),
        variables=word_maps,
        resume_token=words,
        last_sequence=counts,
    ),
    st.builds(live.UserText, words, st.booleans(), words, maybe_halves, words, st.booleans(), speech_end=maybe_spans),
    keys,
    signals,
    results,
    st.builds(live.PlaybackReport, st.sampled_from(live.PlaybackState), words, words, maybe_spans, words),
    st.builds(live.CancelRequest, words, st.sampled_from(live.CancelCause), maybe_spans, words),
    st.builds(live.SessionUpdate, words, word_maps),
    st.builds(live.ToolResult, words, json_values, words),
    customs,
    st.builds(live.Ping, counts),
    st.builds(live.SessionEnd, st.sampled_from(live.EndReason)),
)
bodies = st.one_of(
    st.builds(live.SessionReady, words, words, maybe_spans, words, st.booleans(), counts),
    st.builds(live.Prompt, words, words, st.sampled_from(live.PromptKind), st.booleans(), words, st.booleans()),
    st.builds(
        live.InputSpec,
        st.sampled_from(live.InputMode),
        maybe_spans,
        maybe_spans,
        maybe_spans,
        maybe_spans,
        st.one_of(st.none(), st.builds(live.DtmfSpec, counts, words, maybe_spans)),
        st.booleans(),
        st.lists(words, max_size=3).map(tuple),
        words,
    ),
    st.builds(live.Transfer, words, st.sampled_from(live.TransferKind), st.booleans(), words),
    st.builds(live.Recording, st.booleans()),
    st.builds(live.Pong, counts),
    customs,
    st.builds(live.GoAway, spans, words),
    st.builds(live.SessionEnded, st.sampled_from(live.EndReason), st.booleans(), words),
)
live_turns = st.builds(
    live.LiveTurn,
    words,
    st.one_of(st.none(), calls),
    st.one_of(st.none(), keys, signals, results),
    st.one_of(st.none(), st.builds(live.HeardAnswer, words, words, st.booleans(), maybe_spans)),
    maybe_halves,
    maybe_spans,
)


@given(inputs, counts)
def test_an_input_comes_back_the_same(told: live.SessionInput, sequence: int) -> None:
    request = agent_service_pb2.ConverseRequest.FromString(session_input_to_wire(told, sequence).SerializeToString())
    assert request.sequence == sequence
    assert session_input_from_wire(request) == told


@given(bodies)
def test_what_only_sessions_have_comes_back_the_same(body: live.LiveBody) -> None:
    told = AgentEvent(1, "t", body)
    message = agent_event_pb2.AgentEvent.FromString(event_to_wire(told).SerializeToString())
    assert event_from_wire(message) == told


@given(live_turns)
def test_the_session_of_a_turn_comes_back_the_same(told: live.LiveTurn) -> None:
    assert live_turn_from_wire(live_turn_to_wire(told)) == told


@given(st.binary(max_size=200))
def test_no_bytes_break_the_parser_of_inputs(data: bytes) -> None:
    with suppress(DecodeError, InvalidRequestError):
        session_input_from_wire(agent_service_pb2.ConverseRequest.FromString(data))


def test_an_input_of_a_kind_that_is_not_taken_is_named() -> None:
    request = agent_service_pb2.ConverseRequest()
    assert session_input_from_wire(request) == live.UnsupportedInput("")
    request.audio.content = b"."
    assert session_input_from_wire(request) == live.UnsupportedInput("audio")


def test_a_number_that_json_has_not_is_refused_with_a_name() -> None:
    request = agent_service_pb2.ConverseRequest()
    request.custom.payload.update({"much": math.inf})
    with pytest.raises(InvalidRequestError, match="infinity"):
        session_input_from_wire(request)


def test_what_was_said_is_in_no_representation() -> None:
    said = live.UserText("4711 secret")
    pressed = replace(live.KeysPressed("4711"), sensitive=True)
    assert "4711" not in repr((said, pressed, live.HeardAnswer("t", "4711")))
