"""Our HTTP/2 connections against bytes that no well-behaved peer would send."""

from __future__ import annotations

from struct import unpack_from
from typing import TYPE_CHECKING, Any

import pytest
from hpack import Encoder
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

    from lmos_grpc.http2.metadata import Field

REQUEST = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/test.Calls/echo"),
    (b":authority", b"here"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
]
ANSWER = [(b":status", b"200"), (b"content-type", b"application/grpc")]
STATUS = [(b"grpc-status", b"0")]
LIMITS = Limits(
    stream_window_bytes=70_000,
    connection_window_bytes=200_000,
    max_message_bytes=50_000,
    max_concurrent_streams=5,
    nuisance_burst=50,
    nuisances_per_second=0,
)


class Echo(Stream):
    """Sends back each message, and then a status; counts how it ended."""

    def __init__(self) -> None:
        super().__init__(LIMITS.max_message_bytes)
        self.sink = self._echo
        self.endings: list[str] = []
        self.got: list[bytes] = []
        self.answered = False

    def _echo(self, message: bytes) -> None:
        self.got.append(message)
        if not self.ending:
            self._answer()
            self.send(message)

    def _answer(self) -> None:
        if not self.answered and self.connection is not None:
            self.answered = True
            self.connection.send_headers(self, encode_block(ANSWER), end=False)

    def headers_came(self, fields: list[Field]) -> None:
        del fields

    def end_came(self) -> None:
        self._answer()
        if not self.ending:
            self.end(encode_block(STATUS))

    def reset_came(self, code: int) -> None:
        self.endings.append(f"reset {code}")

    def connection_lost(self, reason: str) -> None:
        self.endings.append(reason)

    def message_refused(self, code: grpc.StatusCode, reason: str) -> None:
        del code, reason
        self._answer()
        if not self.ending:
            self.end(encode_block([(b"grpc-status", b"8")]))


class Served:
    """A server's connection without a socket."""

    def __init__(self) -> None:
        self.calls: list[Echo] = []
        self.connection = ServerConnection(LIMITS, lambda: None, lambda: 0.0, self._open)
        self.sent = bytearray()
        self.pull()

    def _open(self, head: object, fields: object) -> Stream:
        del head, fields
        self.calls.append(Echo())
        return self.calls[-1]

    def receive(self, data: bytes) -> None:
        self.connection.receive(data)
        self.pull()

    def pull(self) -> None:
        while data := self.connection.pull():
            self.sent += data

    def frames(self) -> list[tuple[int, int, int, bytes]]:
        return list(frames_of(bytes(self.sent)))


def frames_of(data: bytes) -> Any:
    at = 0
    while at < len(data):
        high, low, kind, flags, stream_id = h2.HEAD.unpack_from(data, at)
        size = high << 8 | low
        yield kind, flags, stream_id, data[at + 9 : at + 9 + size]
        at += 9 + size
    assert at == len(data)


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    return h2.head(len(payload), kind, flags, stream_id) + payload


def message(body: bytes, *, compressed: int = 0) -> bytes:
    return bytes((compressed,)) + len(body).to_bytes(4, "big") + body


def opening(settings: dict[int, int] | None = None) -> bytes:
    return h2.PREFACE + h2.settings_frame(settings or {})


STREAM_IDS = st.sampled_from([0, 1, 2, 3, 5, 7, 9, 2**31 - 1])
NUMBERS = st.one_of(st.integers(0, 2**31 - 1), st.sampled_from([0, 1, 16_384, 65_535, 2**31 - 1]))
GOOD_BLOCKS = st.sampled_from([encode_block(REQUEST), Encoder().encode(REQUEST), encode_block(STATUS)])
VALID_FRAMES = st.one_of(
    st.builds(lambda s, b, e: frame(h2.HEADERS, 4 | e, s, b), STREAM_IDS, GOOD_BLOCKS, st.sampled_from([0, 1])),
    st.builds(
        lambda s, bodies, e: frame(h2.DATA, e, s, b"".join(map(message, bodies))),
        *(STREAM_IDS, st.lists(st.binary(max_size=300), max_size=4), st.sampled_from([0, 1])),
    ),
    st.builds(lambda s, n: frame(h2.WINDOW_UPDATE, 0, s, n.to_bytes(4, "big")), STREAM_IDS, NUMBERS),
    st.builds(h2.reset_frame, STREAM_IDS, NUMBERS),
    st.builds(lambda k, v: h2.settings_frame({k: v}), st.integers(0, 9), NUMBERS),
    st.builds(lambda p, a: h2.ping_frame(p, ack=a), st.binary(min_size=8, max_size=8), st.booleans()),
    st.builds(lambda n, c: h2.goaway_frame(n, c, "x"), NUMBERS, NUMBERS),
)
ANY_FRAMES = st.builds(frame, st.integers(0, 12), st.integers(0, 255), STREAM_IDS, st.binary(max_size=80))


@given(st.binary(max_size=400), st.booleans())
@settings(max_examples=150)
def test_a_server_answers_whatever_bytes_with_frames_and_at_most_one_goaway(data: bytes, greeted: bool) -> None:  # noqa: FBT001 # hypothesis gives it
    served = Served()
    served.receive(opening() + data if greeted else data)
    assert_in_order(served)


@given(st.lists(st.one_of(VALID_FRAMES, ANY_FRAMES), max_size=30))
@settings(max_examples=200)
def test_frames_in_any_order_never_break_a_server_nor_leave_a_stream_behind(said: list[bytes]) -> None:
    served = Served()
    served.receive(opening())
    for each in said:
        served.receive(each)
        assert_in_order(served)
    served.connection.lost("the end of the test")
    assert not served.connection.streams
    for call in served.calls:
        assert call.connection is None
        assert call.remote_ended
        assert len(call.endings) <= 1


@given(st.lists(VALID_FRAMES, max_size=20), st.data())
@settings(max_examples=150)
def test_where_the_bytes_are_split_never_matters(said: list[bytes], data: st.DataObject) -> None:
    whole = opening() + b"".join(said)
    at_once, in_pieces = Served(), Served()
    at_once.connection.receive(whole)
    start = 0
    while start < len(whole):
        size = data.draw(st.one_of(st.integers(1, 12), st.integers(1, len(whole))))
        in_pieces.connection.receive(whole[start : start + size])
        start += size
    # Only now: what was written before a fault came depends on when it was looked at.
    at_once.pull()
    in_pieces.pull()
    assert [call.got for call in in_pieces.calls] == [call.got for call in at_once.calls]
    assert [call.endings for call in in_pieces.calls] == [call.endings for call in at_once.calls]
    assert in_pieces.connection.closing == at_once.connection.closing
    assert without_data(in_pieces) == without_data(at_once)


def without_data(served: Served) -> list[tuple[int, int, int, bytes]]:
    # How messages share DATA frames, and when windows are updated, may depend on it; what is said may not.
    return sorted(each for each in served.frames() if each[0] not in (h2.DATA, h2.WINDOW_UPDATE))


@given(st.lists(st.one_of(VALID_FRAMES, ANY_FRAMES), max_size=25))
@settings(max_examples=150)
def test_frames_in_any_order_never_break_a_client(said: list[bytes]) -> None:
    client = Client()
    calls = [client.call(b"hello") for _ in range(3)]
    client.connection.receive(h2.settings_frame({}))
    for each in said:
        client.connection.receive(each)
        client.pull()
    client.connection.lost("the end of the test")
    assert not client.connection.streams
    assert all(call.connection is None and call.remote_ended for call in calls)


class Client:
    def __init__(self) -> None:
        self.connection = ClientConnection(
            LIMITS, lambda: None, lambda: 0.0, settled=lambda _connection: None, room_changed=lambda: None
        )
        self.sent = bytearray()

    def call(self, *bodies: bytes) -> Echo:
        call = Echo()
        call.answered = True
        for body in bodies:
            call.send(body)
        call.end()
        self.connection.open(call, encode_block(REQUEST))
        self.pull()
        return call

    def pull(self) -> bytes:
        new = bytearray()
        while data := self.connection.pull():
            new += data
        self.sent += new
        return bytes(new)


def assert_in_order(served: Served) -> None:
    frames = served.frames()
    goaways = [each for each in frames if each[0] == h2.GOAWAY]
    assert len(goaways) <= 1
    assert not goaways or frames[-1][0] == h2.GOAWAY
    assert served.connection.closing or not goaways
    ended: set[int] = set()
    for kind, flags, stream_id, _ in frames:
        assert stream_id not in ended or kind in (h2.RST_STREAM, h2.WINDOW_UPDATE)
        if kind in (h2.DATA, h2.HEADERS) and flags & h2.END_STREAM:
            ended.add(stream_id)


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(h2.ping_frame(bytes(8), ack=False), id="ping"),
        pytest.param(h2.settings_frame({}), id="settings"),
        pytest.param(frame(h2.PRIORITY, 0, 1, bytes((0, 0, 0, 3, 1))), id="priority"),
        pytest.param(frame(99, 0, 0, b""), id="unknown"),
    ],
)
def test_a_flood_of_frames_that_lead_to_nothing_ends_the_connection(flood: bytes) -> None:
    served = Served()
    served.receive(opening() + flood * 60)
    assert goaway_code(served) == h2.ENHANCE_YOUR_CALM


def test_a_rapid_reset_ends_the_connection() -> None:
    served = Served()
    served.receive(opening())
    for number in range(60):
        stream_id = 2 * number + 1
        served.receive(frame(h2.HEADERS, 4, stream_id, encode_block(REQUEST)) + h2.reset_frame(stream_id, h2.CANCEL))
    assert goaway_code(served) == h2.ENHANCE_YOUR_CALM
    assert all(call.endings for call in served.calls)


def test_a_peer_that_pings_with_every_call_is_no_flood() -> None:
    served = Served()
    served.receive(opening())
    for number in range(500):
        stream_id = 2 * number + 1
        call = frame(h2.HEADERS, 4, stream_id, encode_block(REQUEST)) + frame(h2.DATA, 1, stream_id, message(b"x"))
        served.receive(call + h2.ping_frame(bytes(8), ack=False) * 2)
    assert not served.connection.closing
    assert len(served.calls) == 500


def test_empty_data_frames_without_end_are_a_flood() -> None:
    served = Served()
    served.receive(opening() + frame(h2.HEADERS, 4, 1, encode_block(REQUEST)) + frame(h2.DATA, 0, 1, b"") * 60)
    assert goaway_code(served) == h2.ENHANCE_YOUR_CALM


def test_a_header_block_without_end_ends_the_connection() -> None:
    served = Served()
    served.receive(opening() + frame(h2.HEADERS, 0, 1, encode_block(REQUEST)))
    served.receive(frame(h2.CONTINUATION, 0, 1, b"") * 17)
    assert goaway_code(served) == h2.ENHANCE_YOUR_CALM


def test_answers_that_nobody_takes_end_the_connection() -> None:
    limits = Limits(max_waiting_control_bytes=1_000)
    connection = ServerConnection(limits, lambda: None, lambda: 0.0, lambda _head, _fields: Echo())
    connection.paused = True
    connection.receive(opening() + h2.ping_frame(bytes(8), ack=False) * 100)
    assert connection.closing


def test_a_small_block_that_grows_large_ends_the_connection() -> None:
    # One long header, put into the table once and named a thousand times.
    served = Served()
    block = Encoder().encode([(b"x-long", b"a" * 3_000)]) + b"\xbe" * 1_000
    served.receive(opening() + frame(h2.HEADERS, 4, 1, block))
    assert goaway_code(served) == h2.COMPRESSION_ERROR


def test_headers_above_the_limit_are_refused_and_the_connection_goes_on() -> None:
    served = Served()
    many = [(b"x-%d" % number, b"a" * 1_000) for number in range(64)]
    block = encode_block([*REQUEST, *many])
    served.receive(opening() + h2.header_frames(1, block, end_stream=True, max_frame=16_384))
    served.receive(frame(h2.HEADERS, 5, 3, encode_block(REQUEST)))
    assert not served.connection.closing
    assert [each[2] for each in served.frames() if each[0] == h2.HEADERS] == [1, 3, 3]
    assert b"431" in next(each[3] for each in served.frames() if each[0] == h2.HEADERS)


def test_streams_above_the_limit_are_refused_one_by_one() -> None:
    served = Served()
    served.receive(opening())
    for number in range(7):
        served.receive(frame(h2.HEADERS, 4, 2 * number + 1, encode_block(REQUEST)))
    resets = [(each[2], unpack_from(">L", each[3])[0]) for each in served.frames() if each[0] == h2.RST_STREAM]
    assert resets == [(11, h2.REFUSED_STREAM), (13, h2.REFUSED_STREAM)]


def test_more_data_than_the_window_ends_the_stream_or_the_connection() -> None:
    served = Served()
    served.receive(opening() + frame(h2.HEADERS, 4, 1, encode_block(REQUEST)))
    served.calls[0].sink = None  # nobody reads
    for _ in range(5):
        served.receive(frame(h2.DATA, 0, 1, message(bytes(16_000))))
    (reset,) = [each for each in served.frames() if each[0] == h2.RST_STREAM]
    assert (reset[2], unpack_from(">L", reset[3])[0]) == (1, h2.FLOW_CONTROL_ERROR)


def goaway_code(served: Served) -> int:
    (goaway,) = [each[3] for each in served.frames() if each[0] == h2.GOAWAY]
    code: int = unpack_from(">LL", goaway)[1]
    return code
