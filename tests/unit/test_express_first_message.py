"""The first message of a request, in whatever Envoy shows of its body."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmos_grpc.express.first_message import Unreadable, first_message


def frame(message: bytes, *, flag: int = 0) -> bytes:
    return struct.pack(">BI", flag, len(message)) + message


@given(st.binary(max_size=300), st.binary(max_size=100))
def test_a_message_is_found_whatever_follows(message: bytes, after: bytes) -> None:
    assert first_message(frame(message) + after) == message


@given(st.binary(max_size=300), st.integers(1, 400))
def test_a_body_that_is_not_shown_to_the_end_of_its_message_is_no_message(message: bytes, missing: int) -> None:
    shown = frame(message)[: -min(missing, len(message) + 5)]
    assert isinstance(first_message(shown), Unreadable)


@given(st.binary(max_size=400))
def test_no_bytes_break_it_and_what_it_gives_is_what_was_sent(shown: bytes) -> None:
    found = first_message(shown)
    assert isinstance(found, Unreadable) or shown.startswith(frame(found))


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        (b"", "the body ends before its first message"),
        (b"\x00\x00\x00\x00", "the body ends before its first message"),
        (b"\x01", "the message is compressed"),
        (frame(b"packed", flag=1), "the message is compressed"),
        (b"{}", "the body is no gRPC message"),
        (b"\x02", "the body is no gRPC message"),
        (frame(bytes(1_200))[:1_005], "of the 1,200 bytes of the message 1,000 are shown"),
    ],
)
def test_what_cannot_be_read_says_why(shown: bytes, why: str) -> None:
    assert first_message(shown) == Unreadable(why)


def test_an_empty_message_is_a_message() -> None:
    assert first_message(frame(b"")) == b""
