"""The first message of a request, however its bytes arrive."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmos_grpc.express.first_message import FirstMessage, Unreadable


def frame(message: bytes, *, flag: int = 0) -> bytes:
    return struct.pack(">BI", flag, len(message)) + message


def taken(pieces: list[bytes], *, largest: int = 1_000) -> bytes | Unreadable | None:
    """What the pieces of a whole body come to."""
    message = FirstMessage(largest=largest)
    for place, piece in enumerate(pieces, 1):
        found = message.take(piece, last=place == len(pieces))
        if found is not None:
            return found
    return None


def cut(body: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({each % (len(body) + 1) for each in places} | {0, len(body)})
    return [body[start:end] for start, end in pairwise(ends)] or [body]


@given(st.binary(max_size=300), st.binary(max_size=100), st.lists(st.integers(0, 500), max_size=8))
def test_a_message_is_found_wherever_the_body_is_cut_and_whatever_follows(
    message: bytes, after: bytes, places: list[int]
) -> None:
    assert taken(cut(frame(message) + after, places)) == message


@given(st.binary(max_size=300), st.lists(st.integers(0, 500), max_size=8), st.integers(1, 300))
def test_a_body_that_ends_early_is_no_message(message: bytes, places: list[int], missing: int) -> None:
    body = frame(message)[: -min(missing, len(message) + 5)]
    found = taken(cut(body, places))
    assert isinstance(found, Unreadable)
    assert "ended before" in found.reason


@given(st.binary(max_size=400), st.lists(st.integers(0, 500), max_size=8))
def test_no_bytes_break_it_and_what_it_gives_is_what_was_sent(body: bytes, places: list[int]) -> None:
    found = taken(cut(body, places))
    assert found is not None
    assert isinstance(found, Unreadable) or body.startswith(frame(found))


def test_a_compressed_message_is_told_from_its_first_byte() -> None:
    assert FirstMessage().take(b"\x01", last=False) == Unreadable("the message is compressed")


@pytest.mark.parametrize("first", [b"{", b"\x02", b"\xff"])
def test_what_is_no_grpc_message_is_told_from_its_first_byte(first: bytes) -> None:
    assert FirstMessage().take(first, last=False) == Unreadable("the body is no gRPC message")


def test_a_message_that_is_too_large_is_told_from_its_length_and_not_waited_for() -> None:
    assert FirstMessage().take(struct.pack(">BI", 0, 1_000_001), last=False) == Unreadable(
        "the message has 1,000,001 bytes"
    )
    assert FirstMessage().take(struct.pack(">BI", 0, 1_000_000), last=False) is None


def test_an_empty_message_is_a_message() -> None:
    assert FirstMessage().take(frame(b""), last=True) == b""
