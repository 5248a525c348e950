"""Our server and our client against grpc-go's and grpcio's, in the cases of gRPC's interoperability tests."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from lmos_grpc.http2 import Http2Channel, Http2Server
from tests.fakes.interop_service import INITIAL, SERVICE, TRAILING, Messages, add_interop_service, payload
from tests.protocol.go_tool import go_tool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.timeout(300)  # the first run on a machine compiles gRPC for Go

GRPC_GO = ("google.golang.org/grpc/interop", "v1.80.0")
LIMIT_SECONDS = 30
SIZES = (31_415, 9, 2_653, 58_979)
REQUESTS = (27_182, 8, 1_828, 45_904)
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
GO_CASES = (
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
)


def own_server() -> grpc.aio.Server:
    return Http2Server()


@asynccontextmanager
async def serving(make: Callable[[], grpc.aio.Server]) -> AsyncIterator[int]:
    server = make()
    add_interop_service(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


@asynccontextmanager
async def go_server() -> AsyncIterator[int]:
    program = go_tool(f"{GRPC_GO[0]}/server", GRPC_GO[1])
    # It says on which port it listens only in its log.
    process = await asyncio.create_subprocess_exec(
        program, "--port=0", stderr=asyncio.subprocess.PIPE, env={"GRPC_GO_LOG_SEVERITY_LEVEL": "info"}
    )
    assert process.stderr
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            while b"listening on" not in (line := await process.stderr.readline()):
                assert line, "grpc-go's server ended"
        yield int(line.split(b":")[-1].strip(b' \n"'))
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize("case", GO_CASES)
async def test_our_server_answers_grpc_gos_client(case: str) -> None:
    program = go_tool(f"{GRPC_GO[0]}/client", GRPC_GO[1])
    async with serving(own_server) as port, asyncio.timeout(LIMIT_SECONDS):
        process = await asyncio.create_subprocess_exec(
            *(program, "--server_host=127.0.0.1", f"--server_port={port}", f"--test_case={case}"),
            stderr=asyncio.subprocess.PIPE,
        )
        _, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()


class Stub:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        def method(kind: str, name: str, response: str, service: str = SERVICE) -> Any:
            return getattr(channel, kind)(
                f"/{service}/{name}",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=Messages[response].FromString,
            )

        self.empty = method("unary_unary", "EmptyCall", "Empty")
        self.unary = method("unary_unary", "UnaryCall", "SimpleResponse")
        self.input = method("stream_unary", "StreamingInputCall", "StreamingInputCallResponse")
        self.output = method("unary_stream", "StreamingOutputCall", "StreamingOutputCallResponse")
        self.duplex = method("stream_stream", "FullDuplexCall", "StreamingOutputCallResponse")
        self.unknown_method = method("unary_unary", "UnimplementedCall", "Empty")
        self.unknown_service = method("unary_unary", "UnimplementedCall", "Empty", "grpc.testing.UnimplementedService")


def ask(*sizes: int, interval_us: int = 0, size: int = 0, **more: Any) -> Any:
    asked = [Messages["ResponseParameters"](size=each, interval_us=interval_us) for each in sizes]
    return Messages["StreamingOutputCallRequest"](response_parameters=asked, payload=payload(size), **more)


async def empty_unary(stub: Stub) -> None:
    assert await stub.empty(Messages["Empty"]()) == Messages["Empty"]()


async def large_unary(stub: Stub) -> None:
    response = await stub.unary(Messages["SimpleRequest"](response_size=314_159, payload=payload(271_828)))
    assert response.payload.body == bytes(314_159)


async def client_streaming(stub: Stub) -> None:
    async def requests() -> AsyncIterator[Any]:
        for size in REQUESTS:
            yield Messages["StreamingInputCallRequest"](payload=payload(size))

    assert (await stub.input(requests())).aggregated_payload_size == sum(REQUESTS)


async def server_streaming(stub: Stub) -> None:
    assert [len(each.payload.body) async for each in stub.output(ask(*SIZES))] == list(SIZES)


async def ping_pong(stub: Stub) -> None:
    call = stub.duplex()
    for there, back in zip(REQUESTS, SIZES, strict=True):
        await call.write(ask(back, size=there))
        assert len((await call.read()).payload.body) == back
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def empty_stream(stub: Stub) -> None:
    call = stub.duplex()
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def timeout_on_sleeping_server(stub: Stub) -> None:
    call = stub.duplex(timeout=0.001)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call.read()
    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def cancel_after_begin(stub: Stub) -> None:
    call = stub.input()
    await call.wait_for_connection()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await call.code() is grpc.StatusCode.CANCELLED


async def cancel_after_first_response(stub: Stub) -> None:
    call = stub.duplex()
    await call.write(ask(31_415, size=27_182))
    await call.read()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call.read()
    assert await call.code() is grpc.StatusCode.CANCELLED


async def status_code_and_message(stub: Stub) -> None:
    status = Messages["EchoStatus"](code=2, message="test status message")
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stub.unary(Messages["SimpleRequest"](response_status=status))
    assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.UNKNOWN, "test status message")
    call = stub.duplex()
    await call.write(ask(response_status=status))
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call.read()
    assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.UNKNOWN, "test status message")


async def special_status_message(stub: Stub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stub.unary(Messages["SimpleRequest"](response_status=Messages["EchoStatus"](code=2, message=SPECIAL)))
    assert failed.value.details() == SPECIAL


async def custom_metadata(stub: Stub) -> None:
    said = ((INITIAL, "test_initial_metadata_value"), (TRAILING, b"\xab\xab\xab"))
    unary = stub.unary(Messages["SimpleRequest"](response_size=1), metadata=said)
    await unary
    duplex = stub.duplex(metadata=said)
    await duplex.write(ask(1))
    await duplex.done_writing()
    while await duplex.read() is not grpc.aio.EOF:
        pass
    for call in (unary, duplex):
        assert (await call.initial_metadata())[INITIAL] == said[0][1]
        assert (await call.trailing_metadata())[TRAILING] == said[1][1]


async def unimplemented_method(stub: Stub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stub.unknown_method(Messages["Empty"]())
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def unimplemented_service(stub: Stub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stub.unknown_service(Messages["Empty"]())
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


CASES = (
    empty_unary,
    large_unary,
    client_streaming,
    server_streaming,
    ping_pong,
    empty_stream,
    timeout_on_sleeping_server,
    cancel_after_begin,
    cancel_after_first_response,
    status_code_and_message,
    special_status_message,
    custom_metadata,
    unimplemented_method,
    unimplemented_service,
)


@pytest.mark.parametrize("case", CASES)
async def test_our_client_calls_grpc_gos_server(case: Any) -> None:
    async with go_server() as port, Http2Channel(f"127.0.0.1:{port}") as channel, asyncio.timeout(LIMIT_SECONDS):
        await case(Stub(channel))


@pytest.mark.parametrize("case", CASES)
async def test_our_client_calls_grpcios_server(case: Any) -> None:
    async with serving(grpc.aio.server) as port, Http2Channel(f"127.0.0.1:{port}") as channel:
        async with asyncio.timeout(LIMIT_SECONDS):
            await case(Stub(channel))


@pytest.mark.parametrize("case", CASES)
async def test_our_server_answers_grpcios_client(case: Any) -> None:
    async with serving(own_server) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        async with asyncio.timeout(LIMIT_SECONDS):
            await case(Stub(channel))


@pytest.mark.parametrize("case", CASES)
async def test_our_client_calls_our_server(case: Any) -> None:
    async with serving(own_server) as port, Http2Channel(f"127.0.0.1:{port}") as channel:
        async with asyncio.timeout(LIMIT_SECONDS):
            await case(Stub(channel))
