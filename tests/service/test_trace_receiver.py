from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import grpc.aio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from lmos_grpc.errors import StoreUnavailableError
from lmos_grpc.rpc import serve
from lmos_grpc.telemetry import agent_turn, model_call, start_tracing
from lmos_grpc.traces import (
    SERVICE_NAME,
    highlights,
    open_span_reader,
    open_span_store,
    receive_traces,
    trace_tree,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

    import pytest

    from lmos_grpc.traces import SpanStore, TracePiece, TraceReceiver

LIMIT_SECONDS = 10


class GatedStore:
    """Keeps nothing until it is told to; and fails while it is told to."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.entered = asyncio.Event()
        self.failing = False
        self.kept = 0
        self.additions = 0

    async def add(self, pieces: Iterable[TracePiece]) -> None:
        self.entered.set()
        await self.open.wait()
        self.additions += 1
        if self.failing:
            raise StoreUnavailableError("the disk is full")
        self.kept += sum(each.span_count for each in pieces)


def request(count: int) -> ExportTraceServiceRequest:
    spans = [
        WireSpan(trace_id=b"\x01" * 16, span_id=number.to_bytes(8, "big"), name="s") for number in range(1, count + 1)
    ]
    return ExportTraceServiceRequest(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])])


async def eventually(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            if true():
                return
            await asyncio.sleep(0.01)


@asynccontextmanager
async def receiving(store: SpanStore, *, room: int = 20_000) -> AsyncIterator[tuple[TraceReceiver, Exporting]]:
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receive_traces(store, max_waiting_spans=room))
        running = await stack.enter_async_context(
            serve("127.0.0.1:0", register=receiver.register, services=[SERVICE_NAME])
        )
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(running.address))
        yield receiver, Exporting(channel, running.address)


class Exporting:
    def __init__(self, channel: grpc.aio.Channel, address: str) -> None:
        self.address = address
        self._call = channel.unary_unary(
            f"/{SERVICE_NAME}/Export",
            request_serializer=ExportTraceServiceRequest.SerializeToString,
            response_deserializer=ExportTraceServiceResponse.FromString,
        )

    async def export(self, count: int) -> int:
        """Sends that many spans; gives how many were rejected."""
        response = await self._call(request(count), timeout=LIMIT_SECONDS)
        rejected: int = response.partial_success.rejected_spans
        return rejected


async def test_spans_of_two_services_arrive_over_a_socket_as_one_tree(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    async with open_span_store(path) as store, receiving(store) as (receiver, exporting):
        async with (
            start_tracing("orchestrator", endpoint=exporting.address, instance_id="o") as orchestrator,
            start_tracing("billing", endpoint=f"http://{exporting.address}", instance_id="b") as billing,
        ):
            with (
                orchestrator.tracer.start_as_current_span("turn"),
                agent_turn(
                    billing.tracer, agent="billing", conversation_id="c", turn_id="t", tenant="acme", channel="web"
                ),
                model_call(billing.tracer, model="small", provider="openai") as call,
            ):
                call.usage(3, 4)
        with open_span_reader(path) as reader:
            await eventually(lambda: [found.span_count for found in reader.list_traces(10)] == [3])
            trace = reader.get_trace(reader.list_traces(1)[0].trace_id)
    assert trace
    (root,) = trace_tree(trace.spans)
    assert [(node.span.service, node.span.name) for node in root.flatten()] == [
        ("orchestrator", "turn"),
        ("billing", "invoke_agent billing"),
        ("billing", "chat small"),
    ]
    assert ("tokens out", "4") in highlights(root.flatten()[2].span)
    assert receiver.lost_spans == 0


async def test_a_store_that_is_too_slow_costs_spans_but_never_the_senders_time() -> None:
    store = GatedStore()
    async with receiving(store, room=100) as (receiver, exporting):
        async with asyncio.timeout(LIMIT_SECONDS):
            assert await exporting.export(60) == 0
            await store.entered.wait()
            assert await exporting.export(60) == 60
            assert await exporting.export(40) == 0
            assert await exporting.export(1) == 1
        assert receiver.lost_spans == 61
        store.open.set()
    assert store.kept == 100


async def test_there_is_room_again_when_the_store_has_caught_up() -> None:
    store = GatedStore()
    async with receiving(store, room=100) as (_, exporting):
        assert await exporting.export(100) == 0
        store.open.set()
        await eventually(lambda: store.kept == 100)
        assert await exporting.export(100) == 0


async def test_what_waits_is_stored_in_one_go() -> None:
    store = GatedStore()
    async with receiving(store) as (_, exporting):
        await exporting.export(1)
        await store.entered.wait()
        for _ in range(10):
            await exporting.export(1)
        store.open.set()
    assert (store.kept, store.additions) == (11, 2)


async def test_a_store_that_fails_is_warned_of_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    store = GatedStore()
    store.open.set()
    store.failing = True
    with caplog.at_level(logging.WARNING):
        async with receiving(store) as (receiver, exporting), asyncio.timeout(LIMIT_SECONDS):
            for _ in range(3):
                store.entered.clear()
                assert await exporting.export(5) == 0
                await store.entered.wait()
            store.failing = False
            assert await exporting.export(5) == 0
            await eventually(lambda: store.kept > 0)
    assert (receiver.lost_spans, store.kept) == (15, 5)
    assert [record.message for record in caplog.records] == ["spans are lost: the disk is full"]


async def test_an_export_of_nothing_is_fine() -> None:
    store = GatedStore()
    async with receiving(store) as (receiver, exporting):
        assert await exporting.export(0) == 0
        store.open.set()
    assert (receiver.lost_spans, store.kept) == (0, 0)


async def test_an_outage_of_the_receiver_loses_spans_and_later_ones_arrive(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "traces.db"
    with caplog.at_level(logging.INFO, logger="lmos_grpc.telemetry"):
        async with open_span_store(path) as store:
            async with receiving(store) as (_, exporting):
                address = exporting.address
            async with start_tracing("service", endpoint=address, instance_id="1") as tracing:
                for _ in range(3):
                    tracing.tracer.start_span("lost").end()
                    await tracing.flush()
                async with (
                    receive_traces(store) as receiver,
                    serve(address, register=receiver.register, services=[SERVICE_NAME]),
                    asyncio.timeout(LIMIT_SECONDS),
                ):
                    with open_span_reader(path) as reader:
                        while not reader.list_traces(1):
                            tracing.tracer.start_span("kept").end()
                            await tracing.flush()
                        assert {summary.root_name for summary in reader.list_traces(10)} == {"kept"}
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
