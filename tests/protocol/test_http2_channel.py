"""Our channel and our server over real sockets: connections that come, go, hang and misbehave."""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from lmos_grpc.http2 import Backoff, Http2Channel, Http2Server, Keepalive, Limits
from lmos_grpc.http2 import frames as h2
from lmos_grpc.http2.header_encoding import encode_block

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Context = grpc.aio.ServicerContext[Any, Any]

LIMIT_SECONDS = 10
QUICK = Backoff(first=timedelta(milliseconds=10), longest=timedelta(milliseconds=20))
OK_HEAD = [(b":status", b"200"), (b"content-type", b"application/grpc")]


class Calls:
    """Handlers of all kinds, and what became of them."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.go_on = asyncio.Event()
        self.sent = 0

    def add_to(self, server: grpc.aio.Server) -> None:
        handlers: dict[str, Any] = {
            "echo": grpc.unary_unary_rpc_method_handler(self.echo),
            "hold": grpc.unary_unary_rpc_method_handler(self.hold),
            "many": grpc.unary_stream_rpc_method_handler(self.many),
            "push": grpc.unary_stream_rpc_method_handler(self.push),
            "both": grpc.stream_stream_rpc_method_handler(self.both),
            "total": grpc.stream_unary_rpc_method_handler(self.total),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Calls", handlers),))

    async def echo(self, request: bytes, context: Context) -> bytes:
        del context
        return request

    async def hold(self, request: bytes, context: Context) -> bytes:
        del context
        self.entered.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return request

    async def many(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        del context
        try:
            for number in range(int(request)):
                yield b"%d " % number + bytes(1_000)
                self.sent += 1
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled.set()
            raise

    async def push(self, request: bytes, context: Any) -> None:
        outlet = context.outlet()
        try:
            for number in range(int(request)):
                outlet.put(b"%d " % number + bytes(1_000))
                self.sent += 1
                await outlet.room()
            await outlet.flushed()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def both(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        del context
        async for request in requests:
            yield request

    async def total(self, requests: AsyncIterator[bytes], context: Context) -> bytes:
        del context
        return b"%d" % sum([len(request) async for request in requests])


@asynccontextmanager
async def served(
    *, limits: Limits | None = None, port: int = 0, keepalive: Keepalive | None = None
) -> AsyncIterator[tuple[Calls, Http2Server, str]]:
    calls, server = Calls(), Http2Server(limits=limits, keepalive=keepalive)
    calls.add_to(server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            yield calls, server, f"127.0.0.1:{bound}"
    finally:
        await server.stop(0)


@asynccontextmanager
async def raw_server(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """A server of bytes, for what no real server would do."""
    running: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        running.add(task)
        try:
            await answer(reader, writer)
            await reader.read()
        except (asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)


def saying(*frames: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(h2.settings_frame({}))
        await reader.readuntil(b"/test.Calls/")
        for frame in frames:
            writer.write(frame)

    return answer


def head(fields: list[tuple[bytes, bytes]], *, end: bool = False) -> bytes:
    return h2.header_frames(1, encode_block(fields), end_stream=end, max_frame=16_384)


async def failure(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return failed.value


async def free_port() -> int:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def test_a_call_fails_fast_while_the_server_is_away_and_works_once_it_has_come() -> None:
    port = await free_port()
    async with Http2Channel(f"127.0.0.1:{port}", backoff=QUICK) as channel:
        echo: Any = channel.unary_unary("/test.Calls/echo")
        for _ in range(2):
            assert (await failure(echo(b"hi"))).code() is grpc.StatusCode.UNAVAILABLE
        waiting = asyncio.ensure_future(_awaited(echo(b"patient", wait_for_ready=True)))
        async with served(port=port):
            assert await waiting == b"patient"
            assert await echo(b"hi") == b"hi"


async def _awaited(call: Any) -> Any:
    return await call


async def test_a_channel_tells_when_it_is_ready() -> None:
    async with served() as (_, _, address), Http2Channel(address) as channel:
        assert channel.get_state() is grpc.ChannelConnectivity.IDLE
        await channel.channel_ready()
        assert channel.get_state() is grpc.ChannelConnectivity.READY


async def test_a_server_that_comes_back_is_found_again() -> None:
    async with served() as (_, server, address), Http2Channel(address, backoff=QUICK) as channel:
        echo: Any = channel.unary_unary("/test.Calls/echo")
        await echo(b"before")
        await server.stop(0)
        async with served(port=int(address.rpartition(":")[2])):
            assert await echo(b"after", wait_for_ready=True) == b"after"


async def test_a_server_that_stops_lets_its_calls_end_and_takes_no_new_ones() -> None:
    async with served() as (calls, server, address), Http2Channel(address, backoff=QUICK) as channel:
        hold: Any = channel.unary_unary("/test.Calls/hold")
        running = hold(b"kept")
        await calls.entered.wait()
        stopping = asyncio.create_task(server.stop(LIMIT_SECONDS))
        while (await _code(hold(b"late", timeout=0.2))) is not grpc.StatusCode.UNAVAILABLE:
            pass
        assert not stopping.done()
        calls.go_on.set()
        assert await running == b"kept"
        await stopping


async def _code(call: Any) -> grpc.StatusCode:
    code: grpc.StatusCode = await call.code()
    return code


async def test_a_server_that_stops_without_grace_cancels_its_handlers_and_tells_the_callers() -> None:
    async with served() as (calls, server, address), Http2Channel(address) as channel:
        running: Any = channel.unary_unary("/test.Calls/hold")(b"")
        await calls.entered.wait()
        await server.stop(None)
        assert calls.cancelled.is_set()
        assert (await failure(running)).code() is grpc.StatusCode.UNAVAILABLE


async def test_calls_beyond_the_servers_streams_go_to_more_connections_or_wait() -> None:
    async with served(limits=Limits(max_concurrent_streams=2)) as (calls, _, address), Http2Channel(address) as channel:
        running = [channel.unary_unary("/test.Calls/hold")(b"%d" % number) for number in range(40)]
        await calls.entered.wait()
        calls.go_on.set()
        assert await asyncio.gather(*map(_awaited, running)) == [b"%d" % number for number in range(40)]


async def test_a_call_that_a_leaving_server_has_not_seen_fails_as_unavailable() -> None:
    async with raw_server(saying(h2.goaway_frame(0, h2.NO_ERROR))) as address, Http2Channel(address) as channel:
        failed = await failure(channel.unary_unary("/test.Calls/echo")(b""))
    assert failed.code() is grpc.StatusCode.UNAVAILABLE
    assert "has not seen" in (failed.details() or "")


async def test_a_call_that_a_server_refused_is_sent_once_more_and_no_more() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(h2.settings_frame({}))
        for stream_id in (1, 3):
            await reader.readuntil(b"/test.Calls/")
            writer.write(h2.reset_frame(stream_id, h2.REFUSED_STREAM))

    async with raw_server(refuse) as address, Http2Channel(address) as channel:
        failed = await failure(channel.unary_unary("/test.Calls/echo")(b""))
    assert failed.code() is grpc.StatusCode.UNAVAILABLE
    assert "refused" in (failed.details() or "")


async def test_a_server_that_hangs_is_noticed_by_pings() -> None:
    impatient = Keepalive(timedelta(milliseconds=30), timedelta(milliseconds=30))
    async with raw_server(saying()) as address, Http2Channel(address, keepalive=impatient) as channel:
        failed = await failure(channel.unary_unary("/test.Calls/echo")(b""))
    assert failed.code() is grpc.StatusCode.UNAVAILABLE
    assert "ping" in (failed.details() or "")


async def test_a_caller_that_hangs_is_noticed_and_its_handler_cancelled() -> None:
    impatient = Keepalive(timedelta(milliseconds=30), timedelta(milliseconds=30))
    async with served(keepalive=impatient) as (calls, _, address):
        reader, writer = await _raw_call(address, "hold")
        await calls.cancelled.wait()
        await reader.read()
        writer.close()


async def test_connections_that_are_idle_and_answer_pings_stay() -> None:
    impatient = Keepalive(timedelta(milliseconds=10), timedelta(milliseconds=500))
    async with (
        served(keepalive=impatient) as (_, server, address),
        Http2Channel(address, keepalive=impatient) as channel,
    ):
        running: Any = channel.stream_stream("/test.Calls/both")()
        await running.write(b"one")
        assert await running.read() == b"one"
        (connection,) = server._wires.values()
        pings: list[bytes] = []
        connection.ping_answered = pings.append  # type: ignore[method-assign,assignment] # nothing else shows a ping
        while len(pings) < 3:
            await asyncio.wait_for(asyncio.sleep(0.005), LIMIT_SECONDS)
        await running.write(b"two")
        assert await running.read() == b"two"


async def _raw_call(address: str, name: str, *more: tuple[bytes, bytes]) -> Any:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    fields = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/test.Calls/" + name.encode()),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        *more,
    ]
    writer.write(h2.PREFACE + h2.settings_frame({}) + head(fields))
    writer.write(h2.head(5, h2.DATA, h2.END_STREAM, 1) + bytes(5))
    return reader, writer


async def test_the_server_keeps_the_deadline_itself() -> None:
    async with served() as (calls, _, address):
        reader, writer = await _raw_call(address, "hold", (b"grpc-timeout", b"40m"))
        await reader.readuntil(b"grpc-status\x014")
        await calls.cancelled.wait()
        writer.close()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (head([(b":status", b"503")], end=True), grpc.StatusCode.UNAVAILABLE),
        (head([(b":status", b"404"), (b"content-type", b"text/html")]), grpc.StatusCode.UNIMPLEMENTED),
        (head([(b":status", b"200"), (b"content-type", b"text/html")]), grpc.StatusCode.UNKNOWN),
        (head(OK_HEAD, end=True), grpc.StatusCode.UNKNOWN),
        (head([*OK_HEAD, (b"grpc-status", b"5")], end=True), grpc.StatusCode.NOT_FOUND),
        (head([*OK_HEAD, (b"grpc-status", b"77")], end=True), grpc.StatusCode.UNKNOWN),
        (head([(b":status", b"103")]) + head([*OK_HEAD, (b"grpc-status", b"5")], end=True), grpc.StatusCode.NOT_FOUND),
        (head(OK_HEAD) + head([(b"grpc-status", b"0")], end=True), grpc.StatusCode.UNIMPLEMENTED),
        (head(OK_HEAD) + h2.head(0, h2.DATA, h2.END_STREAM, 1), grpc.StatusCode.UNKNOWN),
        (
            head(OK_HEAD) + h2.head(3, h2.DATA, 0, 1) + bytes(3) + head([(b"grpc-status", b"0")], end=True),
            grpc.StatusCode.INTERNAL,
        ),
        (h2.reset_frame(1, h2.ENHANCE_YOUR_CALM), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (h2.reset_frame(1, h2.INTERNAL_ERROR), grpc.StatusCode.INTERNAL),
        (h2.reset_frame(1, h2.CANCEL), grpc.StatusCode.CANCELLED),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_an_answer_that_is_no_grpc_has_the_code_that_grpc_gives_it(answer: bytes, code: grpc.StatusCode) -> None:
    async with raw_server(saying(answer)) as address, Http2Channel(address) as channel:
        assert (await failure(channel.unary_unary("/test.Calls/echo")(b""))).code() is code


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_compressed_requests_are_taken(compression: grpc.Compression) -> None:
    async with served() as (_, _, address), grpc.aio.insecure_channel(address) as channel:
        echo: Any = channel.unary_unary("/test.Calls/echo")
        assert await echo(b"a" * 100_000, compression=compression) == b"a" * 100_000


async def test_a_small_message_that_inflates_above_the_limit_is_refused() -> None:
    async with served(limits=Limits(max_message_bytes=100_000)) as (_, _, address):
        channel = grpc.aio.insecure_channel(address)
        echo: Any = channel.unary_unary("/test.Calls/echo")
        failed = await failure(echo(bytes(200_000), compression=grpc.Compression.Gzip))
        await channel.close()
    assert failed.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_message_above_the_limit_is_refused_by_who_sends_it_and_by_who_gets_it() -> None:
    small, large = Limits(max_message_bytes=1_000), Limits()
    for of_client, of_server in ((small, large), (large, small)):
        async with served(limits=of_server) as (_, _, address), Http2Channel(address, limits=of_client) as channel:
            failed = await failure(channel.unary_unary("/test.Calls/echo")(bytes(2_000)))
            assert failed.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert await channel.unary_unary("/test.Calls/echo")(b"small") == b"small"


async def test_a_pushed_stream_arrives_whole_and_in_order_and_can_be_held_up() -> None:
    got: list[int] = []
    async with served() as (calls, _, address), Http2Channel(address) as channel:
        push: Any = channel.unary_stream("/test.Calls/push")
        call = push.receive(b"5000", lambda message: got.append(int(message.split()[0])))
        while not got:
            await asyncio.wait_for(asyncio.sleep(0), LIMIT_SECONDS)
        call.pause()
        held = len(got)
        while calls.sent != await _settled(calls):
            pass
        assert len(got) == held
        assert calls.sent < held + 3_000  # a window, and what waits on the way
        call.resume()
        await call.ended()
    assert got == list(range(5_000))


async def _settled(calls: Calls) -> int:
    sent = -1
    while sent != calls.sent:
        sent = calls.sent
        await asyncio.sleep(0.05)
    return sent


async def test_a_receiver_that_cancels_in_the_middle_hears_no_more() -> None:
    got: list[bytes] = []

    def take(message: bytes) -> None:
        got.append(message)
        if len(got) == 3:
            call.cancel()

    async with served() as (calls, _, address), Http2Channel(address) as channel:
        push: Any = channel.unary_stream("/test.Calls/push")
        call = push.receive(b"1000000", take)
        await call.ended()
        await calls.cancelled.wait()
    assert len(got) == 3


async def test_a_receiver_that_fails_ends_its_call_and_no_other() -> None:
    def fail(_message: bytes) -> None:
        raise LookupError("not mine")

    async with served() as (calls, _, address), Http2Channel(address) as channel:
        other: Any = channel.unary_unary("/test.Calls/hold")(b"other")
        await calls.entered.wait()
        push: Any = channel.unary_stream("/test.Calls/push")
        with pytest.raises(LookupError):
            await push.receive(b"10", fail).ended()
        calls.go_on.set()
        assert await other == b"other"


async def test_a_callback_that_fails_is_reported_and_spoils_no_other_call() -> None:
    def fail(_call: object) -> None:
        raise LookupError("not mine")

    reported: list[Any] = []
    async with served() as (calls, _, address), Http2Channel(address) as channel:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context["exception"]))
        other: Any = channel.unary_unary("/test.Calls/hold")(b"other")
        await calls.entered.wait()
        call: Any = channel.unary_unary("/test.Calls/echo")(b"hi")
        call.add_done_callback(fail)
        assert await call == b"hi"
        calls.go_on.set()
        assert await other == b"other"
    assert [type(each) for each in reported] == [LookupError]


@pytest.mark.parametrize("method", ["many", "push"])
async def test_a_reader_that_stops_reading_stops_the_writer_and_a_cancel_ends_it(method: str) -> None:
    async with served() as (calls, _, address), Http2Channel(address) as channel:
        call: Any = channel.unary_stream(f"/test.Calls/{method}")(b"1000000")
        assert await call.read()
        sent = await _settled(calls)
        assert sent < 3_000
        call.cancel()
        await calls.cancelled.wait()


class Slow(
    grpc.aio.UnaryUnaryClientInterceptor,
    grpc.aio.UnaryStreamClientInterceptor,
    grpc.aio.StreamUnaryClientInterceptor,
    grpc.aio.StreamStreamClientInterceptor,
):
    """Waits before it makes the call."""

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        await asyncio.sleep(0)
        return await continuation(client_call_details, request)

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await self.intercept_unary_unary(continuation, client_call_details, request)

    async def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await self.intercept_unary_unary(continuation, client_call_details, request_iterator)

    async def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await self.intercept_unary_unary(continuation, client_call_details, request_iterator)


async def test_metadata_larger_than_a_frame_travels_both_ways() -> None:
    async def mirror(request: bytes, context: Any) -> bytes:
        said = {key: value for key, value in context.invocation_metadata() if key.startswith("x-")}
        await context.send_initial_metadata(tuple(said.items()))
        context.set_trailing_metadata(tuple(said.items()))
        return request

    said = tuple((f"x-{number}-bin", bytes([number]) * 6_000) for number in range(5))
    server = Http2Server()
    handlers: dict[str, Any] = {"mirror": grpc.unary_unary_rpc_method_handler(mirror)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Mirror", handlers),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    async with Http2Channel(address) as channel, asyncio.timeout(LIMIT_SECONDS):
        call: Any = channel.unary_unary("/test.Mirror/mirror")(b"", metadata=said)
        await call
        assert tuple(await call.initial_metadata()) == said
        assert tuple(await call.trailing_metadata()) == said
    await server.stop(0)


async def test_interceptors_that_wait_serve_every_kind_of_call() -> None:
    async def requests() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"three"

    async with served() as (_, _, address), Http2Channel(address, interceptors=[Slow()]) as channel:
        ended: list[Any] = []
        unary: Any = channel.unary_unary("/test.Calls/echo")(b"hi")
        unary.add_done_callback(ended.append)
        assert await unary == b"hi"
        assert await unary.code() is grpc.StatusCode.OK
        assert ended == [unary]
        assert len([each async for each in channel.unary_stream("/test.Calls/many")(b"10")]) == 10
        assert await channel.stream_unary("/test.Calls/total")(requests()) == b"8"
        both: Any = channel.stream_stream("/test.Calls/both")()
        await both.write(b"x")
        assert await both.read() == b"x"
        await both.done_writing()
        assert await both.read() is grpc.aio.EOF
        got: list[bytes] = []
        push: Any = channel.unary_stream("/test.Calls/push")
        await push.receive(b"10", got.append).ended()
        assert len(got) == 10


async def test_a_call_that_is_cancelled_while_an_interceptor_waits_is_never_made() -> None:
    async with served() as (calls, _, address), Http2Channel(address, interceptors=[Slow()]) as channel:
        call: Any = channel.unary_unary("/test.Calls/hold")(b"")
        assert call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await call.code() is grpc.StatusCode.CANCELLED
        assert not calls.entered.is_set()


async def test_a_closed_channel_cancels_its_calls_and_makes_no_more() -> None:
    async with served() as (calls, _, address):
        channel = Http2Channel(address)
        running: Any = channel.unary_unary("/test.Calls/hold")(b"")
        await calls.entered.wait()
        await channel.close()
        with pytest.raises(asyncio.CancelledError):
            await running
        await calls.cancelled.wait()
        with pytest.raises(grpc.aio.UsageError):
            channel.unary_unary("/test.Calls/echo")(b"")


async def test_a_port_that_is_taken_is_refused() -> None:
    async with served() as (_, _, address):
        with pytest.raises(RuntimeError):
            Http2Server().add_insecure_port(address)


async def test_calls_that_are_over_leave_nothing_to_the_collector() -> None:
    async with served() as (_, _, address), Http2Channel(address) as channel:
        many: Any = channel.unary_stream("/test.Calls/many")
        push: Any = channel.unary_stream("/test.Calls/push")

        async def all_kinds() -> None:
            got: list[bytes] = []
            assert len([each async for each in many(b"3")]) == 3
            call = push.receive(b"3", got.append)
            await call.ended()
            assert len(got) == 3

        await all_kinds()
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                await all_kinds()
            assert gc.collect() < 20, "a call refers to itself"
        finally:
            gc.enable()
