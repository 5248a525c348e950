"""Streams by pushing, over the transport that the suite runs on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from lmos_grpc.errors import InternalError, UnreachableError
from lmos_grpc.rpc import open_channel, outlet, receive, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from lmos_grpc.rpc import Inflow, Outlet
    from lmos_grpc.rpc.typing import Context

LIMIT = 5.0
METHOD = "/test.Pushing/Push"


@dataclass
class Caller:
    """Calls the method that a test wrote, and keeps what it is given."""

    method: Any  # Any: a multicallable of bytes
    seen: list[bytes] = field(default_factory=list)

    def call(self, on_message: Callable[[bytes], None] | None = None, timeout: float = LIMIT) -> Inflow:
        return receive(
            self.method, b"", on_message or self.seen.append, timeout=timedelta(seconds=timeout), metadata=()
        )


@asynccontextmanager
async def caller_of(push: Callable[[Outlet], Awaitable[None]]) -> AsyncIterator[Caller]:
    async def handle(_: bytes, context: Context) -> None:
        async with outlet(context) as out:
            await push(out)

    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_stream_rpc_method_handler(handle, None, None)
    generic = grpc.method_handlers_generic_handler("test.Pushing", {"Push": handler})
    async with (
        serve(
            "127.0.0.1:0", register=lambda server: server.add_generic_rpc_handlers((generic,)), services=[]
        ) as server,
        open_channel(server.address) as channel,
    ):
        yield Caller(channel.unary_stream(METHOD))


async def three(out: Outlet) -> None:
    for message in (b"1", b"", b"3"):
        out.put(message)


async def test_what_is_put_arrives_in_order() -> None:
    async with caller_of(three) as caller:
        await asyncio.wait_for(caller.call().ended(), LIMIT)
        assert caller.seen == [b"1", b"", b"3"]


async def test_what_was_put_before_a_failure_arrives_before_it() -> None:
    async def fails(out: Outlet) -> None:
        await three(out)
        raise InternalError("no more")

    async with caller_of(fails) as caller:
        with pytest.raises(InternalError, match="no more"):
            await asyncio.wait_for(caller.call().ended(), LIMIT)
        assert caller.seen == [b"1", b"", b"3"]


async def test_nobody_there_is_an_error_of_ours() -> None:
    async with open_channel("127.0.0.1:9") as channel:
        with pytest.raises(UnreachableError):
            await asyncio.wait_for(Caller(channel.unary_stream(METHOD)).call().ended(), LIMIT)


async def test_a_cancelled_call_ends_well_and_hands_nothing_over_any_more() -> None:
    gone = asyncio.Event()

    async def goes_on(out: Outlet) -> None:
        try:
            while True:
                out.put(b"x")
                await asyncio.sleep(0.001)  # as a model would
        finally:
            gone.set()

    async with caller_of(goes_on) as caller:
        seen = 0

        def count(_: bytes) -> None:
            nonlocal seen
            seen += 1
            if seen == 3:
                inflow.cancel()

        inflow = caller.call(count)
        await asyncio.wait_for(inflow.ended(), LIMIT)
        await asyncio.wait_for(gone.wait(), LIMIT)
        assert seen == 3


async def test_who_waits_for_the_end_and_is_cancelled_cancels_the_call() -> None:
    started, gone = asyncio.Event(), asyncio.Event()

    async def waits(out: Outlet) -> None:
        out.put(b"x")
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()

    async with caller_of(waits) as caller:
        ends = asyncio.ensure_future(caller.call().ended())
        await asyncio.wait_for(started.wait(), LIMIT)
        ends.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ends
        await asyncio.wait_for(gone.wait(), LIMIT)


async def test_a_paused_call_slows_the_sender_down_and_loses_nothing() -> None:
    many, size, put = 3_000, 5_000, 0

    async def floods(out: Outlet) -> None:
        nonlocal put
        for number in range(many):
            if out.full:
                await out.room()
            out.put(f"{number} ".encode() + b"x" * size)
            put += 1

    async with caller_of(floods) as caller:
        inflow = caller.call()
        inflow.pause()
        ends = asyncio.ensure_future(inflow.ended())
        before = -1
        while put != before or not put:
            before = put
            await asyncio.sleep(0.2)  # as long as a flood would need to go on
        assert put < many
        inflow.resume()
        await asyncio.wait_for(ends, 4 * LIMIT)
        assert [int(message.split()[0]) for message in caller.seen] == list(range(many))


async def test_flushed_returns_when_all_is_on_its_way() -> None:
    flushed = asyncio.Event()

    async def flushes(out: Outlet) -> None:
        for _ in range(1_000):
            out.put(b"x" * 1_000)
        await out.flushed()
        flushed.set()

    async with caller_of(flushes) as caller:
        await asyncio.wait_for(caller.call().ended(), LIMIT)
        assert flushed.is_set()
        assert len(caller.seen) == 1_000


async def test_an_idle_outlet_goes_on() -> None:
    go_on = asyncio.Semaphore(0)

    async def stepwise(out: Outlet) -> None:
        for number in range(3):
            await go_on.acquire()
            out.put(str(number).encode())
            await out.flushed()

    async with caller_of(stepwise) as caller:

        def take(message: bytes) -> None:
            caller.seen.append(message)
            go_on.release()

        go_on.release()
        await asyncio.wait_for(caller.call(take).ended(), LIMIT)
        assert caller.seen == [b"0", b"1", b"2"]
