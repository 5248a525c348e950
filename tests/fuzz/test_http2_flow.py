"""Flow control: whatever the windows and whoever is slow, nothing is lost, nothing overtakes, and memory is bounded."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from lmos_grpc.http2 import Limits
from lmos_grpc.http2 import frames as h2
from lmos_grpc.http2.client_connection import ClientConnection
from lmos_grpc.http2.header_encoding import encode_block
from lmos_grpc.http2.server_connection import ServerConnection
from lmos_grpc.http2.stream import Stream

if TYPE_CHECKING:
    import grpc

    from lmos_grpc.http2.connection import Connection
    from lmos_grpc.http2.metadata import Field

REQUEST = encode_block(
    [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/test.Calls/both"),
        (b"content-type", b"application/grpc"),
    ]
)
ANSWER = encode_block([(b":status", b"200"), (b"content-type", b"application/grpc")])
HIGH_WATER = 4_096
MOST_STEPS = 5_000


class Side(Stream):
    """Sends what it is given while there is room, and reads when it is told to."""

    def __init__(self, to_send: list[bytes]) -> None:
        super().__init__(100_000)
        self.to_send = to_send
        self.read: list[bytes] = []
        self.most_unread = 0
        self.failures: list[str] = []

    def greet(self) -> None:
        """Sends the head of an answer, where it is one."""

    def write_some(self) -> None:
        while self.to_send and not self.full and self.connection is not None:
            self.send(self.to_send.pop(0))
        if not self.to_send and not self.ending and self.may_end:
            self.end(self.closing)

    closing = b""

    @property
    def may_end(self) -> bool:
        return True

    def read_one(self) -> None:
        self.most_unread = max(self.most_unread, sum(map(len, self.messages)))
        if self.messages:
            self.read.append(self.take())

    def headers_came(self, fields: list[Field]) -> None:
        pass

    def end_came(self) -> None:
        pass

    def reset_came(self, code: int) -> None:
        self.failures.append(f"reset {code}")

    def connection_lost(self, reason: str) -> None:
        self.failures.append(reason)

    def message_refused(self, code: grpc.StatusCode, reason: str) -> None:
        self.failures.append(f"{code} {reason}")


class ServerSide(Side):
    closing = encode_block([(b"grpc-status", b"0")])

    greeted = False

    def greet(self) -> None:
        if not self.greeted and self.connection is not None:
            self.greeted = True
            self.connection.send_headers(self, ANSWER, end=False)

    @property
    def may_end(self) -> bool:
        # A status before the last request has come would end the call there.
        return self.remote_ended


class Pair:
    """A client and a server joined without sockets; bytes travel when they are told to."""

    def __init__(self, client_limits: Limits, server_limits: Limits, answers: list[list[bytes]]) -> None:
        self.server_sides: list[ServerSide] = []
        self._answers = answers
        self.client = ClientConnection(
            client_limits, lambda: None, lambda: 0.0, settled=lambda _connection: None, room_changed=lambda: None
        )
        self.server = ServerConnection(server_limits, lambda: None, lambda: 0.0, self._open)
        self.under_way: dict[Connection, bytearray] = {self.client: bytearray(), self.server: bytearray()}

    def _open(self, head: object, fields: object) -> ServerSide:
        del head, fields
        self.server_sides.append(ServerSide(self._answers[len(self.server_sides)]))
        return self.server_sides[-1]

    def carry(self, sender: Connection, most: int) -> None:
        way = self.under_way[sender]
        if (new := sender.pull()) is not None:
            way += new
        piece = bytes(way[:most])
        del way[:most]
        if piece:
            (self.server if sender is self.client else self.client).receive(piece)


SIZES = st.lists(st.one_of(st.integers(0, 50), st.integers(1_000, 20_000)), max_size=25)
WINDOWS = st.sampled_from([65_535, 70_000, 300_000])


@given(
    streams=st.lists(st.tuples(SIZES, SIZES), min_size=1, max_size=4),
    windows=st.tuples(WINDOWS, WINDOWS),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=30, deadline=None)
def test_nothing_is_lost_and_nothing_overtakes_on_any_schedule(
    streams: list[tuple[list[int], list[int]]], windows: tuple[int, int], seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 # a schedule, no secret
    asked = [[chance.randbytes(size) for size in there] for there, _ in streams]
    answered = [[chance.randbytes(size) for size in back] for _, back in streams]
    limits = [
        Limits(stream_window_bytes=each, connection_window_bytes=each, send_high_water_bytes=HIGH_WATER)
        for each in windows
    ]
    pair = Pair(limits[0], limits[1], [list(each) for each in answered])
    callers = [Side(list(each)) for each in asked]
    for caller in callers:
        pair.client.open(caller, REQUEST)
    for _ in range(MOST_STEPS):
        _step(pair, callers, chance)
        if _all_done(callers, pair, asked, answered):
            break
    assert [side.failures for side in (*callers, *pair.server_sides)] == [[]] * (2 * len(callers))
    assert [side.read for side in pair.server_sides] == asked
    assert [side.read for side in callers] == answered
    assert all(each.most_unread <= windows[0] + 20_005 for each in callers)
    assert all(each.most_unread <= windows[1] + 20_005 for each in pair.server_sides)


def _step(pair: Pair, callers: list[Side], chance: random.Random) -> None:
    for sender in (pair.client, pair.server):
        if chance.random() < 0.1:
            _change_a_setting(sender, chance)
        if chance.random() < 0.7:
            pair.carry(sender, chance.choice((9, 500, 20_000, 100_000)))
    for side in (*callers, *pair.server_sides):
        side.greet()
        if chance.random() < 0.5:
            side.write_some()
        for _ in range(chance.choice((0, 0, 1, 5))):
            side.read_one()


def _change_a_setting(side: Connection, chance: random.Random) -> None:
    side.wire += h2.settings_frame({h2.HEADER_TABLE_SIZE: chance.choice((0, 100, 4_096))})


def _all_done(callers: list[Side], pair: Pair, asked: list[list[bytes]], answered: list[list[bytes]]) -> bool:
    return (
        len(pair.server_sides) == len(callers)
        and all(len(side.read) == len(due) for side, due in zip(pair.server_sides, asked, strict=True))
        and all(len(side.read) == len(due) for side, due in zip(callers, answered, strict=True))
        and not pair.client.streams
        and not pair.server.streams
    )


def test_a_window_made_smaller_on_the_way_stops_the_sender_until_it_is_above_zero() -> None:
    pair = Pair(Limits(), Limits(), [[]])
    caller = Side([])
    pair.client.open(caller, REQUEST)
    pair.client.receive(h2.settings_frame({h2.INITIAL_WINDOW_SIZE: 1_000}))
    caller.send(bytes(3_000))
    sent = pair.client.pull()
    assert sent is not None
    assert caller.send_window == 0
    pair.client.receive(h2.settings_frame({h2.INITIAL_WINDOW_SIZE: 100}))
    assert caller.send_window == -900
    pair.client.receive(h2.window_update_frame(1, 900))
    assert _data_bytes(pair.client.pull()) == 0
    pair.client.receive(h2.settings_frame({h2.INITIAL_WINDOW_SIZE: 600}))
    assert _data_bytes(pair.client.pull()) == 500


def _data_bytes(sent: bytearray | None) -> int:
    data, size, at = bytes(sent or b""), 0, 0
    while at < len(data):
        high, low, kind, _, _ = h2.HEAD.unpack_from(data, at)
        at += 9 + (high << 8 | low)
        size += (high << 8 | low) if kind == h2.DATA else 0
    return size


def test_a_reader_that_never_reads_costs_no_more_than_its_window() -> None:
    limits = Limits(stream_window_bytes=65_535)
    pair = Pair(limits, limits, [[]])
    caller = Side([bytes(1_000) for _ in range(1_000)])
    pair.client.open(caller, REQUEST)
    for _ in range(500):
        caller.write_some()
        pair.carry(pair.client, 100_000)
        pair.carry(pair.server, 100_000)
    (reader,) = pair.server_sides
    assert sum(map(len, reader.messages)) <= 65_535
    assert len(caller.out) <= limits.send_high_water_bytes + 1_005
    for _ in range(MOST_STEPS):
        reader.read_one()
        caller.write_some()
        pair.carry(pair.client, 100_000)
        pair.carry(pair.server, 100_000)
    assert len(reader.read) == 1_000
