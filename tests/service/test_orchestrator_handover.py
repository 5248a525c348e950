"""A turn that goes from one agent to another, over real gRPC."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from lmos_grpc.domain.event import (
    Failure,
    Handover,
    Outcome,
    Routed,
    TurnDone,
)
from lmos_grpc.domain.failure import Reason
from tests.fakes.scripted_mesh import (
    ScriptedDecider,
    agent,
    ask,
    decided,
    done,
    mesh_of,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.agent_service import Emit
    from lmos_grpc.domain.turn import TurnRequest


def hands_over_to(name: str) -> Callable[[TurnRequest, Emit], object]:
    async def script(_: TurnRequest, emit: Emit) -> None:
        await emit(Handover(agent=name, reason="not mine", summary="the customer said hi"))
        await emit(TurnDone(Outcome.HANDED_OVER))

    return script


async def test_a_handover_goes_on_with_the_other_agent_and_takes_the_summary_along() -> None:
    b = agent("b")
    async with mesh_of(agent("a", hands_over_to("b")), b, decider=ScriptedDecider(decided("a"))) as client:
        events = await ask(client)
    assert text_of(events, "b") == "b"
    assert done(events).outcome is Outcome.COMPLETED
    assert b.asked[0].context.visited == ("a",)
    assert b.asked[0].history[-1].text == "the customer said hi"
    assert [type(event.body) for event in events].count(Routed) == 2


async def test_a_handover_to_an_agent_that_had_the_turn_fails() -> None:
    decider = ScriptedDecider(decided("a"))
    async with mesh_of(agent("a", hands_over_to("b")), agent("b", hands_over_to("a")), decider=decider) as client:
        events = await ask(client)
    failure = events[-2].body
    assert isinstance(failure, Failure)
    assert failure.detail.reason is Reason.HANDOVER_LOOP
    assert done(events).outcome is Outcome.FAILED


async def test_the_mesh_hands_over_at_most_five_times() -> None:
    names = [f"a{number}" for number in range(8)]
    agents = [agent(name, hands_over_to(after)) for name, after in pairwise(names)]
    async with mesh_of(*agents, decider=ScriptedDecider(decided("a0"))) as client:
        events = await ask(client)
    failure = events[-2].body
    assert isinstance(failure, Failure)
    assert failure.detail.reason is Reason.HANDOVER_LIMIT
    assert [bool(each.asked) for each in agents] == [True] * 6 + [False]


async def test_a_handover_to_nobody_fails_with_a_typed_error() -> None:
    async with mesh_of(agent("a", hands_over_to("nobody")), decider=ScriptedDecider(decided("a"))) as client:
        failure = (await ask(client))[-2].body
    assert isinstance(failure, Failure)
    assert failure.detail.reason is Reason.UNKNOWN_AGENT
