"""Reads HPACK header blocks (RFC 7541), some times faster than `hpack` does, whose Huffman table it uses."""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from hpack import HPACKError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

if TYPE_CHECKING:
    from lmos_grpc.http2.metadata import Field

_STATIC: Final[tuple[Field, ...]] = tuple(HeaderTable.STATIC_TABLE)
_FIRST_DYNAMIC: Final = len(_STATIC) + 1
_ENTRY_OVERHEAD: Final = 32
# A number of more bytes than this is above every limit.
_MOST_NUMBER_BITS: Final = 28
_INDEXED: Final = 0x80
_TO_BE_INDEXED: Final = 0x40
_SIZE_UPDATE: Final = 0x20
# The largest number that fits into what is left of a first byte.
_SEVEN_BITS: Final = 0x7F
_SIX_BITS: Final = 0x3F
_FIVE_BITS: Final = 0x1F
_FOUR_BITS: Final = 0x0F
_WORTH_KEEPING: Final = 128


class HeaderBlockError(Exception):
    """The block is no HPACK, or says more than the limit allows. The connection's table is lost with it."""


class HeaderDecoder:
    """The decoder of one connection: its dynamic table is shared by all blocks, in their order."""

    __slots__ = ("_limit", "_most", "_room", "_same", "_size", "_table")

    def __init__(self, *, max_list_bytes: int, max_table_bytes: int = 4_096) -> None:
        self._limit = max_list_bytes
        self._most = max_table_bytes
        self._room = max_table_bytes
        self._size = 0
        self._table: deque[Field] = deque()
        # What blocks said since the table was changed: a block that comes again means the same.
        self._same: dict[bytes, list[Field]] = {}

    def decode(self, block: bytes) -> list[Field]:
        """The fields of a block; not to be changed, because others may be given the same list.

        Raises:
            HeaderBlockError: it cannot be read.
        """
        known = self._same.get(block)
        if known is not None:
            return known
        try:
            fields = self._fields(block)
        except (IndexError, HPACKError) as error:
            raise HeaderBlockError(f"it cannot be read: {error}") from error
        if len(self._same) < _WORTH_KEEPING:
            self._same[block] = fields
        return fields

    def _fields(self, block: bytes) -> list[Field]:
        fields: list[Field] = []
        at, end = 0, len(block)
        left = self._limit
        while at < end:
            byte = block[at]
            at += 1
            if byte & _INDEXED:
                index = byte & _SEVEN_BITS
                if index == _SEVEN_BITS:
                    index, at = _number(block, at, index)
                field = _STATIC[index - 1] if 0 < index < _FIRST_DYNAMIC else self._entry(index)
            elif byte & _TO_BE_INDEXED:
                field, at = self._literal(block, at, byte & _SIX_BITS, _SIX_BITS)
                self._add(field)
            elif byte & _SIZE_UPDATE:
                if fields:
                    raise HeaderBlockError("the table's size changes in the middle of a block")
                at = self._resize(block, at, byte & _FIVE_BITS)
                continue
            else:
                field, at = self._literal(block, at, byte & _FOUR_BITS, _FOUR_BITS)
            left -= len(field[0]) + len(field[1]) + _ENTRY_OVERHEAD
            if left < 0:
                raise HeaderBlockError(f"it says more than {self._limit} bytes")
            fields.append(field)
        return fields

    def _entry(self, index: int) -> Field:
        if not _FIRST_DYNAMIC <= index < _FIRST_DYNAMIC + len(self._table):
            raise HeaderBlockError(f"there is no entry {index} in the table")
        return self._table[index - _FIRST_DYNAMIC]

    def _literal(self, block: bytes, at: int, index: int, largest: int) -> tuple[Field, int]:
        if index == largest:
            index, at = _number(block, at, index)
        if index == 0:
            name, at = _text(block, at)
        elif index < _FIRST_DYNAMIC:
            name = _STATIC[index - 1][0]
        else:
            name = self._entry(index)[0]
        value, at = _text(block, at)
        return (name, value), at

    def _add(self, field: Field) -> None:
        self._same.clear()
        size = len(field[0]) + len(field[1]) + _ENTRY_OVERHEAD
        self._evict(self._room - size)
        if size <= self._room:
            self._table.appendleft(field)
            self._size += size

    def _resize(self, block: bytes, at: int, size: int) -> int:
        if size == _FIVE_BITS:
            size, at = _number(block, at, size)
        if size > self._most:
            raise HeaderBlockError(f"a table of {size} bytes, above the limit of {self._most}")
        self._same.clear()
        self._room = size
        self._evict(size)
        return at

    def _evict(self, room: int) -> None:
        table = self._table
        while table and self._size > room:
            name, value = table.pop()
            self._size -= len(name) + len(value) + _ENTRY_OVERHEAD


def _number(block: bytes, at: int, value: int) -> tuple[int, int]:
    shift = 0
    while True:
        byte = block[at]
        at += 1
        value += (byte & _SEVEN_BITS) << shift
        if byte <= _SEVEN_BITS:
            return value, at
        shift += 7
        if shift > _MOST_NUMBER_BITS:
            raise HeaderBlockError("a number without end")


def _text(block: bytes, at: int) -> tuple[bytes, int]:
    first = block[at]
    size = first & _SEVEN_BITS
    at += 1
    if size == _SEVEN_BITS:
        size, at = _number(block, at, size)
    end = at + size
    raw = block[at:end]
    if len(raw) != size:
        raise HeaderBlockError("a text that is cut short")
    if first & 0x80:
        raw = _plain_kept(raw) if size <= _WORTH_KEEPING else _plain(raw)
    return raw, end


def _plain(coded: bytes) -> bytes:
    return bytes(decode_huffman(coded))


_plain_kept = lru_cache(maxsize=4_096)(_plain)
