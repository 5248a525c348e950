"""Agents that break the contract, die, or are not known yet, over real gRPC."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from lmos.agent.v1 import agent_event_pb2 as event_pb
from lmos.agent.v1 import agent_service_pb2 as pb
from lmos.agent.v1.agent_service_pb2_grpc import AgentServiceServicer, add_AgentServiceServicer_to_server

from lmos_grpc.agent_service import AGENT_SERVICE
from lmos_grpc.domain.event import (
    Failure,
    Outcome,
)
from lmos_grpc.domain.failure import Reason
from lmos_grpc.errors import NoHealthyInstanceError, UnknownAgentError
from lmos_grpc.rpc import serve
from tests.fakes.scripted_mesh import (
    SECOND,
    ScriptedDecider,
    agent,
    ask,
    decided,
    done,
    mesh_of,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import timedelta

    from lmos_grpc.domain.event import (
        AgentEvent,
    )
    from lmos_grpc.errors import LmosError
    from lmos_grpc.rpc.typing import Context


class Unimplemented(AgentServiceServicer):
    """An agent that has only what a test gives it."""

    async def GetAgentCard(self, _: pb.GetAgentCardRequest, __: Context) -> pb.GetAgentCardResponse:  # noqa: N802
        return pb.GetAgentCardResponse()

    async def Converse(  # noqa: N802
        self, _: object, __: Context
    ) -> AsyncIterator[pb.ConverseResponse]:
        yield pb.ConverseResponse()


class Raw(Unimplemented):
    """An agent that sends what the test says, whatever the contract says."""

    def __init__(self, *events: event_pb.AgentEvent, ends: bool = True) -> None:
        self._events = events
        self._ends = ends

    async def Invoke(self, _: pb.InvokeRequest, __: Context) -> AsyncIterator[pb.InvokeResponse]:  # noqa: N802
        for event in self._events:
            yield pb.InvokeResponse(event=event)
        if not self._ends:
            await asyncio.Event().wait()


def numbered(number: int, **member: Any) -> event_pb.AgentEvent:  # Any: one member of the oneof
    return event_pb.AgentEvent(sequence=number, turn_id="t", **member)


ACCEPTED = numbered(1, accepted=event_pb.Accepted())
DELTA = event_pb.TextDelta(text="x")
DONE = event_pb.TurnDone(outcome=event_pb.OUTCOME_COMPLETED)


async def answer_of(raw: Raw, timeout: timedelta = 5 * SECOND) -> list[AgentEvent]:
    async with serve(
        "127.0.0.1:0", register=lambda server: add_AgentServiceServicer_to_server(raw, server), services=[AGENT_SERVICE]
    ) as server:
        extra = {"raw/1.0.0/stable": server.address}
        async with mesh_of(decider=ScriptedDecider(decided("raw")), extra=extra) as client:
            return await ask(client, timeout)


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([], Reason.AGENT_PROTOCOL_VIOLATION),
        ([numbered(1, text_delta=DELTA)], Reason.AGENT_PROTOCOL_VIOLATION),
        ([ACCEPTED, numbered(3, text_delta=DELTA)], Reason.AGENT_PROTOCOL_VIOLATION),
        ([ACCEPTED, numbered(2, accepted=event_pb.Accepted())], Reason.AGENT_PROTOCOL_VIOLATION),
        ([ACCEPTED, numbered(2, text_delta=DELTA)], Reason.AGENT_STREAM_BROKEN),
    ],
    ids=["nothing", "no accepted", "a gap", "accepted twice", "no end"],
)
async def test_an_agent_that_answers_garbage_gives_a_typed_failure(
    events: list[event_pb.AgentEvent], reason: Reason
) -> None:
    answer = await answer_of(Raw(*events))
    failure = answer[-2].body
    assert isinstance(failure, Failure)
    assert failure.detail.reason is reason
    assert failure.detail.metadata == {"agent": "raw"}
    assert done(answer).outcome is Outcome.FAILED


async def test_what_an_agent_sends_after_the_end_is_not_passed_on() -> None:
    late = numbered(3, text_delta=event_pb.TextDelta(text="late"))
    answer = await answer_of(Raw(ACCEPTED, numbered(2, turn_done=DONE), late))
    assert done(answer).outcome is Outcome.COMPLETED
    assert text_of(answer, "raw") == ""


async def test_an_event_of_an_unknown_kind_is_passed_on_unread() -> None:
    ready = numbered(2, hold={"on": True})
    async with serve(
        "127.0.0.1:0",
        register=lambda server: add_AgentServiceServicer_to_server(
            Raw(ACCEPTED, ready, numbered(3, turn_done=DONE)), server
        ),
        services=[AGENT_SERVICE],
    ) as server:
        extra = {"raw/1.0.0/stable": server.address}
        async with mesh_of(decider=ScriptedDecider(decided("raw")), extra=extra) as client:
            events = await ask(client)
    assert "hold" in str(events[2].body)


async def test_an_agent_that_never_answers_is_given_up_at_the_deadline() -> None:
    answer = await answer_of(Raw(ends=False), timeout=SECOND)
    failure = answer[-2].body
    assert isinstance(failure, Failure)
    assert failure.detail.reason is Reason.DEADLINE_EXCEEDED


async def test_an_agent_that_is_gone_gives_a_typed_failure() -> None:
    async with mesh_of(decider=ScriptedDecider(decided("raw")), extra={"raw/1.0.0/stable": "127.0.0.1:9"}) as client:
        failure = (await ask(client))[-2].body
    assert isinstance(failure, Failure)
    assert failure.detail.reason is Reason.UNREACHABLE


async def test_an_agent_that_dies_in_mid_stream_gives_a_typed_failure() -> None:
    async with AsyncExitStack() as stack:
        extra = {"raw/1.0.0/stable": await stack.enter_async_context(grpc_server_that_dies())}
        client = await stack.enter_async_context(mesh_of(decider=ScriptedDecider(decided("raw")), extra=extra))
        answer = await ask(client)
    assert text_of(answer, "raw") == "x"
    failure = answer[-2].body
    assert isinstance(failure, Failure)
    assert failure.detail.reason is Reason.AGENT_STREAM_BROKEN


@asynccontextmanager
async def grpc_server_that_dies() -> AsyncIterator[str]:
    """A server that stops without grace as soon as it has sent a first delta."""
    server = grpc.aio.server()

    class Dying(Unimplemented):
        async def Invoke(self, _: pb.InvokeRequest, __: Context) -> AsyncIterator[pb.InvokeResponse]:  # noqa: N802
            yield pb.InvokeResponse(event=ACCEPTED)
            yield pb.InvokeResponse(event=numbered(2, text_delta=DELTA))
            stopping.append(asyncio.ensure_future(server.stop(None)))
            await asyncio.Event().wait()

    stopping: list[asyncio.Future[None]] = []
    add_AgentServiceServicer_to_server(Dying(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await asyncio.gather(*stopping)


@pytest.mark.parametrize("reason", [UnknownAgentError("not there"), NoHealthyInstanceError("not ready")])
async def test_an_agent_that_envoy_does_not_know_yet_is_called_again(reason: LmosError) -> None:
    late = agent("a")
    late.refusal = reason
    async with mesh_of(late, decider=ScriptedDecider(decided("a"))) as client:
        answer = asyncio.ensure_future(ask(client))
        await asyncio.wait_for(late.admitted.wait(), 5)
        late.refusal = None
        events = await answer
    assert text_of(events, "a") == "a"
    assert len(late.asked) > 1


async def test_an_agent_that_stays_unknown_is_told_as_what_it_is() -> None:
    gone = agent("a")
    gone.refusal = NoHealthyInstanceError("not ready")
    async with mesh_of(gone, decider=ScriptedDecider(decided("a"))) as client:
        failure = (await ask(client))[-2].body
    assert isinstance(failure, Failure)
    assert failure.detail.reason is Reason.NO_HEALTHY_INSTANCE
