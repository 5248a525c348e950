"""Quorum, best and hedged turns through a real Envoy, to agents that the SDK serves."""

from __future__ import annotations

import asyncio
import io
import statistics
import time
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lmos_grpc import Agent, MeshClient, Strategy, StrategyKind, TextDelta, TurnDone
from lmos_grpc.cli.command.ask import Question, ask_mesh
from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.cli.mesh.turn_settings import TurnSettings
from lmos_grpc.domain.event import Outcome
from lmos_grpc.domain.strategy import strategy_named
from lmos_grpc.domain.turn import RouteHint
from tests.mesh.whole_mesh import LIMIT, output_to, settings_for, whole_mesh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lmos_grpc import Status, Turn
    from lmos_grpc.domain.event import AgentEvent

pytestmark = pytest.mark.mesh
CAPABILITY = "tell-outages"
_CANCELS = 20


class Street:
    """Three agents that know the same; `a` has the highest version, so that it comes first."""

    def __init__(self, *hanging: str) -> None:
        self.begun = {name: asyncio.Event() for name in "abc"}
        self.stopped: asyncio.Queue[tuple[str, float]] = asyncio.Queue()
        self.agents = [self._agent(name, f"{3 - place}.0.0", hangs=name in hanging) for place, name in enumerate("abc")]

    def _agent(self, name: str, version: str, *, hangs: bool) -> Agent:
        agent = Agent(f"{name}-agent", version="1.0.0", description="Tells of outages.")

        @agent.capability(CAPABILITY, version=version, examples={"en": ["is there an outage in my street"]})
        async def tell_outages(turn: Turn) -> AsyncIterator[str | Status]:
            self.begun[name].set()
            try:
                if hangs:
                    yield turn.status("looking")
                    await asyncio.Event().wait()
                yield f"{name} knows "
                yield "of none."
            finally:
                self.stopped.put_nowait((name, time.monotonic()))

        return agent


async def told(client: MeshClient, strategy: Strategy) -> list[AgentEvent]:
    async with asyncio.timeout(LIMIT.total_seconds()):
        return [event async for event in client.invoke("hello", capability=CAPABILITY, strategy=strategy)]


def outcomes(events: list[AgentEvent]) -> dict[str, Outcome]:
    done = events[-1].body
    assert isinstance(done, TurnDone)
    assert done.outcome is Outcome.COMPLETED
    return {each.source.agent[0]: each.outcome for each in done.branches}


def texts(events: list[AgentEvent]) -> dict[str, str]:
    said: dict[str, str] = {}
    for event in events:
        if isinstance(event.body, TextDelta):
            said[event.source.agent[0]] = said.get(event.source.agent[0], "") + event.body.text
    return said


async def test_two_of_three_agents_are_a_quorum_and_the_third_is_cancelled(tmp_path: Path) -> None:
    street, file = Street("a"), io.StringIO()
    async with whole_mesh(tmp_path, *street.agents) as mesh:
        async with MeshClient(mesh.edge) as client:
            events = await told(client, strategy_named("quorum:2"))
        assert texts(events) == {"b": "b knows of none.", "c": "c knows of none."}
        assert outcomes(events) == {"a": Outcome.CANCELLED, "b": Outcome.COMPLETED, "c": Outcome.COMPLETED}
        hint = RouteHint(capability=CAPABILITY, strategy=strategy_named("quorum:2"))
        assert await ask_mesh(settings_for(mesh), output_to(file), Question("hello", hint)) is ExitCode.OK
    assert f"— c-agent · {CAPABILITY} —\nc knows of none.\n" in file.getvalue()
    assert "(quorum:2)" in file.getvalue()


async def test_the_best_of_three_answers_is_given_alone(tmp_path: Path) -> None:
    street = Street()
    async with whole_mesh(tmp_path, *street.agents) as mesh, MeshClient(mesh.edge) as client:
        events = await told(client, Strategy(StrategyKind.BEST))
    assert texts(events) == {"a": "a knows of none."}
    assert outcomes(events) == dict.fromkeys("abc", Outcome.COMPLETED)


async def test_an_agent_that_says_more_than_the_mesh_holds_back_is_out(tmp_path: Path) -> None:
    talker = Agent("talker-agent", version="1.0.0", description="Says much.")

    @talker.capability(CAPABILITY, version="9.0.0")
    async def tell_outages(_turn: Turn) -> AsyncIterator[str]:
        yield "x" * 20_000

    street, turns = Street(), TurnSettings(most_held_bytes=10_000)
    async with whole_mesh(tmp_path, talker, *street.agents, turns=turns) as mesh, MeshClient(mesh.edge) as client:
        events = await told(client, Strategy(StrategyKind.BEST))
    assert texts(events) == {"a": "a knows of none."}
    assert outcomes(events) == {"t": Outcome.FAILED, **dict.fromkeys("abc", Outcome.COMPLETED)}


async def test_where_the_best_agent_is_slow_the_next_one_steps_in(tmp_path: Path) -> None:
    street = Street("a")
    hedged = Strategy(StrategyKind.ONE, hedge_delay=timedelta(milliseconds=300))
    async with whole_mesh(tmp_path, *street.agents) as mesh, MeshClient(mesh.edge) as client:
        events = await told(client, hedged)
        async with asyncio.timeout(LIMIT.total_seconds()):
            stopped = {(await street.stopped.get())[0] for _ in range(2)}
    said = texts(events)
    assert set(said) <= {"b", "c"}
    assert len(said) == 1
    assert outcomes(events)["a"] is Outcome.CANCELLED
    assert "a" in stopped


async def test_cancelling_at_the_caller_reaches_every_branch_within_100_ms(tmp_path: Path) -> None:
    street, delays = Street(*"abc"), list[float]()
    async with whole_mesh(tmp_path, *street.agents) as mesh, MeshClient(mesh.edge) as client:
        for _ in range(_CANCELS):
            for begun in street.begun.values():
                begun.clear()
            async with aclosing(
                client.invoke("hello", capability=CAPABILITY, strategy=strategy_named("best"))
            ) as events:
                await anext(events)
                async with asyncio.timeout(LIMIT.total_seconds()):
                    await asyncio.gather(*(begun.wait() for begun in street.begun.values()))
                left = time.monotonic()
            async with asyncio.timeout(LIMIT.total_seconds()):
                delays.append(max([(await street.stopped.get())[1] for _ in "abc"]) - left)
    # Half of them: the machine has other work, too.
    assert statistics.median(delays) <= 0.1
