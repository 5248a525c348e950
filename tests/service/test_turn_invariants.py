"""The promises of the contract, each by name, over real gRPC."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.clients.agent_client import AgentClient
from lmos_grpc.domain.event import Accepted, Failure, Outcome, Status, TextDelta, TurnDone
from lmos_grpc.domain.failure import Reason
from lmos_grpc.domain.turn import CallContext, Message, RouteHint, Strategy, StrategyKind, TurnRequest
from lmos_grpc.errors import (
    EmptyMessageError,
    InvalidRequestError,
    MessageTooLargeError,
    NoHealthyInstanceError,
    TurnConflictError,
)
from lmos_grpc.rpc import open_channel
from tests.fakes.scripted_agent import ScriptedAgent, serve_scripted

if TYPE_CHECKING:
    from lmos_grpc.agent_service import Emit, TurnWork
    from lmos_grpc.domain.event import AgentEvent

SECOND = timedelta(seconds=1)


def asks(text: str = "hi", **fields: str) -> TurnRequest:
    return TurnRequest(Message.from_user(text), **fields)  # type: ignore[arg-type] # ids only


async def events_of(agent: ScriptedAgent, *turns: TurnRequest, timeout: timedelta = 10 * SECOND) -> list[AgentEvent]:
    """The events of the turns, one turn after the other."""
    async with serve_scripted(agent) as address, open_channel(address) as channel:
        client = AgentClient(channel)
        return [event for turn in turns for event in [each async for each in client.invoke(turn, timeout=timeout)]]


async def three_words(_: TurnRequest, emit: Emit) -> None:
    for word in ("one ", "two ", "three"):
        await emit(TextDelta(word))


async def test_accepted_comes_first_and_one_turn_done_last() -> None:
    bodies = [event.body for event in await events_of(ScriptedAgent(three_words), asks())]
    assert isinstance(bodies[0], Accepted)
    assert bodies[-1] == TurnDone(Outcome.COMPLETED)
    assert [type(body) for body in bodies].count(TurnDone) == 1


async def test_accepted_comes_before_any_work() -> None:
    started = asyncio.Event()

    async def wait_for_leave(_: TurnRequest, emit: Emit) -> None:
        await started.wait()
        await emit(TextDelta("now"))

    async with serve_scripted(ScriptedAgent(wait_for_leave)) as address, open_channel(address) as channel:
        events = AgentClient(channel).invoke(asks(), timeout=5 * SECOND)
        assert isinstance((await anext(events)).body, Accepted)
        started.set()
        assert (await anext(events)).body == TextDelta("now")
        await events.aclose()


async def test_sequence_numbers_are_dense_and_ascending_from_one() -> None:
    events = await events_of(ScriptedAgent(three_words), asks())
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))


async def test_nothing_follows_turn_done() -> None:
    async def talks_on(_: TurnRequest, emit: Emit) -> None:
        await emit(TurnDone(Outcome.COMPLETED))
        await emit(TextDelta("too late"))

    events = await events_of(ScriptedAgent(talks_on), asks())
    assert [type(event.body) for event in events] == [Accepted, TurnDone]


async def test_a_failure_before_the_first_event_is_a_status() -> None:
    refusing = ScriptedAgent(refusal=NoHealthyInstanceError("nobody is here", agent="x"))
    with pytest.raises(NoHealthyInstanceError, match="nobody is here") as caught:
        await events_of(refusing, asks())
    assert caught.value.metadata == {"agent": "x"}


async def test_a_failure_after_the_first_event_is_told_in_band() -> None:
    async def breaks(_: TurnRequest, emit: Emit) -> None:
        await emit(Status("working"))
        raise ZeroDivisionError

    events = await events_of(ScriptedAgent(breaks), asks())
    failure = events[-2].body
    assert isinstance(failure, Failure)
    assert failure.detail.reason is Reason.AGENT_FAILED
    assert "ZeroDivision" not in failure.detail.message
    assert events[-1].body == TurnDone(Outcome.FAILED)


async def test_an_agent_that_swallows_its_cancellation_leaves_a_cancelled_turn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def swallows(_: TurnRequest, emit: Emit) -> None:
        await emit(TextDelta("one"))
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await emit(TextDelta("two"))

    turn = asks(conversation_id="c", turn_id="t")
    async with serve_scripted(ScriptedAgent(swallows)) as address, open_channel(address) as channel:
        async with aclosing(AgentClient(channel).invoke(turn, timeout=5 * SECOND)) as events:
            assert [(await anext(events)).sequence, (await anext(events)).sequence] == [1, 2]
        bodies = [event.body async for event in AgentClient(channel).invoke(turn, timeout=2 * SECOND)]
    assert bodies[-1] == TurnDone(Outcome.CANCELLED)
    assert not caplog.records


async def test_cancelling_reaches_the_work() -> None:
    async def never_ends(_: TurnRequest, emit: Emit) -> None:
        await emit(TextDelta("…"))
        await asyncio.Event().wait()

    agent = ScriptedAgent(never_ends)
    async with serve_scripted(agent) as address, open_channel(address) as channel:
        events = AgentClient(channel).invoke(asks(), timeout=5 * SECOND)
        assert [type((await anext(events)).body) for _ in range(2)] == [Accepted, TextDelta]
        await events.aclose()
        await asyncio.wait_for(agent.cancelled.wait(), 5)


async def test_the_deadline_of_the_caller_bounds_the_work_less_a_margin() -> None:
    async def never_ends(_: TurnRequest, __: Emit) -> None:
        await asyncio.Event().wait()

    agent = ScriptedAgent(never_ends)
    events = await events_of(agent, asks(), timeout=SECOND / 2)
    failure = events[-2].body
    assert isinstance(failure, Failure)
    assert failure.detail.reason is Reason.DEADLINE_EXCEEDED
    assert events[-1].body == TurnDone(Outcome.FAILED)
    assert agent.time_left[0] <= SECOND / 2 + SECOND / 50  # the wire rounds deadlines up


async def test_a_caller_without_a_deadline_gets_the_servers_maximum() -> None:
    agent = ScriptedAgent()
    async with serve_scripted(agent) as address, open_channel(address) as channel:
        _ = [event async for event in AgentClient(channel).invoke(asks())]
    assert agent.time_left == [timedelta(minutes=2)]


async def test_the_same_turn_id_is_one_turn() -> None:
    agent = ScriptedAgent(three_words)
    turn = asks(conversation_id="c", turn_id="t")
    events = await events_of(agent, turn, turn)
    assert events[: len(events) // 2] == events[len(events) // 2 :]
    assert len(agent.asked) == 1


async def test_the_same_turn_id_joins_a_turn_that_still_runs() -> None:
    go_on = asyncio.Event()

    async def waits(_: TurnRequest, emit: Emit) -> None:
        await emit(TextDelta("first"))
        await go_on.wait()
        await emit(TextDelta("second"))

    agent = ScriptedAgent(waits)
    turn = asks(conversation_id="c", turn_id="t")
    async with serve_scripted(agent) as address, open_channel(address) as channel:
        client = AgentClient(channel)
        first, second = client.invoke(turn, timeout=5 * SECOND), client.invoke(turn, timeout=5 * SECOND)
        heads = [[await anext(events) for _ in range(2)] for events in (first, second)]
        go_on.set()
        tails = [[event async for event in events] for events in (first, second)]
    assert heads[0] == heads[1]
    assert tails[0] == tails[1]
    assert len(agent.asked) == 1


async def test_the_same_turn_id_with_another_message_is_aborted() -> None:
    first, second = (asks(text, conversation_id="c", turn_id="t") for text in ("hi", "something else"))
    with pytest.raises(TurnConflictError):
        await events_of(ScriptedAgent(), first, second)


async def test_a_refused_turn_may_be_tried_again_under_its_id() -> None:
    agent = ScriptedAgent(refusal=NoHealthyInstanceError("not yet"))
    turn = asks(conversation_id="c", turn_id="t")
    async with serve_scripted(agent) as address, open_channel(address) as channel:
        client = AgentClient(channel)
        with pytest.raises(NoHealthyInstanceError):
            await anext(client.invoke(turn, timeout=SECOND))
        agent.refusal = None
        events = [event async for event in client.invoke(turn, timeout=SECOND)]
    assert events[-1].body == TurnDone(Outcome.COMPLETED)


@pytest.mark.parametrize("text", ["", "  \n\t "])
async def test_an_empty_message_is_refused(text: str) -> None:
    with pytest.raises(EmptyMessageError, match="empty"):
        await events_of(ScriptedAgent(), asks(text))


async def test_a_message_over_the_limit_of_the_contract_is_refused() -> None:
    with pytest.raises(MessageTooLargeError, match="by reference"):
        await events_of(ScriptedAgent(), asks("x" * (4 * 1024 * 1024 + 1)))


async def test_a_message_over_the_limit_of_the_transport_is_refused() -> None:
    with pytest.raises(MessageTooLargeError):
        await events_of(ScriptedAgent(), asks("x" * (6 * 1024 * 1024)))


async def test_a_strategy_that_cannot_be_is_refused_before_the_first_event() -> None:
    turn = replace(asks(), hint=RouteHint(strategy=Strategy(StrategyKind.ALL, max_branches=33)))
    with pytest.raises(InvalidRequestError, match="max_branches is 33, allowed are 1 to 32") as refused:
        await events_of(ScriptedAgent(), turn)
    assert refused.value.detail.metadata["field"] == "route_hint.strategy.max_branches"


async def test_a_tenant_that_is_too_long_is_refused_by_name() -> None:
    turn = replace(asks(), context=CallContext(tenant="x" * 129))
    with pytest.raises(InvalidRequestError, match="x-lmos-tenant"):
        await events_of(ScriptedAgent(), turn)


async def test_an_id_that_is_too_long_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequestError, match="conversation_id"):
        await events_of(ScriptedAgent(), asks(conversation_id="c" * 129))


async def test_a_time_out_of_the_agents_own_is_not_taken_for_the_callers_deadline() -> None:
    async def gives_up(_: TurnRequest, __: Emit) -> None:
        raise TimeoutError

    failure = (await events_of(ScriptedAgent(gives_up), asks()))[-2].body
    assert isinstance(failure, Failure)
    assert failure.detail.reason is Reason.AGENT_FAILED


async def test_who_joins_a_turn_that_is_then_refused_gets_a_turn_of_its_own() -> None:
    agent, asked, joined = ScriptedAgent(), asyncio.Event(), asyncio.Event()
    admit = agent.admit

    async def refuse_the_first(turn: TurnRequest, time_left: timedelta) -> TurnWork:
        if not asked.is_set():
            asked.set()
            await joined.wait()
            raise NoHealthyInstanceError("not yet")
        return await admit(turn, time_left)

    agent.admit = refuse_the_first  # type: ignore[method-assign] # the first call waits for the second to join it
    turn = asks(conversation_id="c", turn_id="t")
    async with serve_scripted(agent) as address, open_channel(address) as channel:
        client = AgentClient(channel)
        first = asyncio.ensure_future(anext(client.invoke(turn, timeout=5 * SECOND)))
        await asyncio.wait_for(asked.wait(), 5)
        second = asyncio.ensure_future(anext(client.invoke(turn, timeout=5 * SECOND)))
        await asyncio.sleep(0.1)  # until the second has joined, which nothing tells; too short proves less
        joined.set()
        with pytest.raises(NoHealthyInstanceError):
            await first
        assert isinstance((await second).body, Accepted)
