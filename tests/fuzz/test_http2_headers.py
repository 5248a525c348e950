"""Our reading and writing of header blocks beside the package `hpack`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hpack import Decoder, Encoder, HPACKError
from hypothesis import given, settings
from hypothesis import strategies as st

from lmos_grpc.http2.header_decoding import HeaderBlockError, HeaderDecoder
from lmos_grpc.http2.header_encoding import NO_DYNAMIC_TABLE, encode_block

if TYPE_CHECKING:
    from lmos_grpc.http2.metadata import Field

LIMIT = 65_536
NAMES = st.sampled_from([b":method", b":path", b":status", b"content-type", b"te", b"x-a", b"x-long-name-of-a-header"])
VALUES = st.one_of(st.sampled_from([b"POST", b"200", b"trailers", b""]), st.binary(max_size=200))
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=12)
TABLE_SIZES = st.one_of(st.none(), st.sampled_from([0, 40, 100, 4_096]))


@given(st.lists(st.tuples(FIELDS, TABLE_SIZES, st.booleans()), max_size=12))
@settings(max_examples=200)
def test_blocks_that_hpack_wrote_are_read_as_they_were(blocks: list[tuple[list[Field], int | None, bool]]) -> None:
    encoder, decoder = Encoder(), HeaderDecoder(max_list_bytes=LIMIT)
    for fields, size, huffman in blocks:
        if size is not None:
            encoder.header_table_size = size
        block = bytes(encoder.encode(fields, huffman=huffman))
        assert decoder.decode(block) == fields
        same = bytes(encoder.encode(fields, huffman=huffman))
        assert decoder.decode(same) == fields


@given(st.lists(FIELDS, max_size=5))
def test_blocks_that_we_wrote_are_read_by_hpack_as_they_were(blocks: list[list[Field]]) -> None:
    decoder = Decoder()
    for fields in blocks:
        assert decoder.decode(NO_DYNAMIC_TABLE + encode_block(fields), raw=True) == fields


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=6))
@settings(max_examples=1_000)
def test_whatever_bytes_are_read_like_hpack_reads_them_or_refused_like_it_does(blocks: list[bytes]) -> None:
    theirs, ours = Decoder(max_header_list_size=LIMIT), HeaderDecoder(max_list_bytes=LIMIT)
    for block in blocks:
        try:
            expected = theirs.decode(block, raw=True)
        except HPACKError:
            with pytest.raises(HeaderBlockError):
                ours.decode(block)
            return
        assert ours.decode(block) == list(expected)


def test_a_number_without_end_is_refused() -> None:
    with pytest.raises(HeaderBlockError):
        HeaderDecoder(max_list_bytes=LIMIT).decode(b"\xff" + b"\x80" * 100 + b"\x01")
