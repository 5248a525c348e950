"""Whatever comes over a connection of the router, it is read as one request after the other, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmos_grpc.express.wire import LARGEST_HEAD, NotHttpError, read_head

TOKENS = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20).filter(
    lambda name: name not in {"content-length", "transfer-encoding"}
)
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=40)


@given(st.binary(max_size=400))
def test_no_bytes_break_it(received: bytes) -> None:
    try:
        head = read_head(received)
    except NotHttpError:
        return
    assert head is None or head.end >= head.size > 0


@given(st.dictionaries(TOKENS, VALUES, max_size=5), st.binary(max_size=100), st.binary(max_size=50))
def test_a_request_is_found_whatever_follows(headers: dict[str, str], body: bytes, after: bytes) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    sent = f"POST /x HTTP/1.1\r\ncontent-length: {len(body)}\r\n{lines}\r\n".encode()
    head = read_head(sent + body + after)
    assert head is not None
    assert (head.path, head.size, head.end) == ("/x", len(sent), len(sent) + len(body))
    assert {name: head.headers[name] for name in headers} == {name: value.strip() for name, value in headers.items()}


@given(st.integers(0, 60))
def test_a_head_that_is_not_all_there_is_waited_for(shown: int) -> None:
    sent = b"POST /x HTTP/1.1\r\ncontent-length: 3\r\nx-lmos-tenant: acme\r\n\r\n"
    assert read_head(sent[: min(shown, len(sent) - 1)]) is None


def test_a_head_without_an_end_is_not_waited_for_for_ever() -> None:
    with pytest.raises(NotHttpError):
        read_head(b"x" * (LARGEST_HEAD + 1))
