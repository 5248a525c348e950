"""Turns and questions come back from the wire as they were, and nothing that comes over it breaks the reader."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from lmos.conversation.v1 import conversation_service_pb2 as pb

from lmos_grpc.conversation.page_token import page_token_after, place_of
from lmos_grpc.conversation.wire import (
    question_from_bytes,
    question_to_bytes,
    record_from_wire,
    record_to_wire,
)
from lmos_grpc.domain.conversation import OpenQuestion, TurnKey, TurnRecord
from lmos_grpc.domain.event import Clarification, ClarificationOption, Outcome
from lmos_grpc.domain.turn import FilePart, Message, Role, TextPart
from lmos_grpc.errors import InvalidPageTokenError, InvalidRequestError

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 - naive by contract
PARTS = st.builds(TextPart, TEXT) | st.builds(FilePart, TEXT, TEXT, TEXT, st.integers(0, 2**63 - 1))


def messages(role: Role) -> SearchStrategy[Message]:
    parts = st.lists(PARTS, max_size=3).map(tuple)
    return st.builds(Message, st.just(role), parts, TEXT, TEXT, st.none() | MOMENTS, st.booleans())


RECORDS = st.builds(
    TurnRecord,
    st.builds(TurnKey, st.just("de"), st.just("c"), TEXT),
    messages(Role.USER),
    st.lists(messages(Role.AGENT), max_size=3).map(tuple),
    st.sampled_from(Outcome),
    MOMENTS,
    MOMENTS,
    st.integers(0, 2**63 - 1),
)


@given(RECORDS)
def test_a_turn_comes_back_as_it_was(record: TurnRecord) -> None:
    assert record_from_wire(record_to_wire(record), "de", "c", NOW) == record


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader_of_turns(payload: bytes) -> None:
    try:
        record_from_wire(pb.Turn.FromString(payload), "de", "c", NOW)
    except (DecodeError, InvalidRequestError):
        return


@given(
    st.builds(Clarification, TEXT, TEXT, st.lists(st.builds(ClarificationOption, TEXT, TEXT)).map(tuple)), TEXT, TEXT
)
def test_an_open_question_comes_back_as_it_was(asked: Clarification, agent: str, capability: str) -> None:
    question = OpenQuestion(asked, agent, capability)
    assert question_from_bytes(question_to_bytes(question)) == question


def test_no_question_is_no_bytes() -> None:
    assert question_to_bytes(None) == b""
    assert question_from_bytes(b"") is None


@given(st.integers(1, 2**63 - 1))
def test_a_page_token_leads_to_its_place(place: int) -> None:
    assert place_of(page_token_after(place)) == place


@given(st.text())
def test_any_other_text_is_no_page_token(token: str) -> None:
    try:
        place = place_of(token)
    except InvalidPageTokenError:
        return
    assert token in ("", page_token_after(place))


def test_a_place_beyond_64_bits_is_no_page_token() -> None:
    with pytest.raises(InvalidPageTokenError):
        place_of(page_token_after(2**63))
