"""Turns over the log in SQLite, shown before and after they are on the disk."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, closing
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.agent_service import AGENT_SERVICE, LimitedRunner, LiveSessions, TurnExecutor, add_agent_service
from lmos_grpc.clients.agent_client import AgentClient
from lmos_grpc.conversation import open_turn_log
from lmos_grpc.domain.conversation import Durability
from lmos_grpc.domain.event import Accepted, Outcome, TextDelta, TurnDone
from lmos_grpc.domain.turn import Message, TurnRequest
from lmos_grpc.errors import QuotaExceededError, StoreUnavailableError
from lmos_grpc.rpc import open_channel, serve
from tests.fakes.scripted_agent import ScriptedAgent, bare_errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lmos_grpc.agent_service import Emit
    from lmos_grpc.conversation import SqliteTurnLog
    from lmos_grpc.domain.event import AgentEvent

LIMIT = 5.0
TIMEOUT = timedelta(seconds=LIMIT)


def asks(turn_id: str = "t") -> TurnRequest:
    return TurnRequest(Message.from_user("hi"), conversation_id="c", turn_id=turn_id)


@dataclass
class Place:
    """A served agent with its log."""

    client: AgentClient
    log: SqliteTurnLog
    file: Path

    async def ask(self, turn_id: str = "t") -> list[AgentEvent]:
        return [event async for event in self.client.invoke(asks(turn_id), timeout=TIMEOUT)]

    @property
    def last_on_disk(self) -> int:
        with closing(sqlite3.connect(self.file)) as connection:
            return int(connection.execute("SELECT coalesce(max(last_sequence), 0) FROM chunk").fetchone()[0])


@asynccontextmanager
async def place_of(agent: ScriptedAgent, folder: Path, durability: Durability, most: int = 100) -> AsyncIterator[Place]:
    file = folder / "turns.sqlite"
    async with bare_errors(), AsyncExitStack() as stack:
        log = await stack.enter_async_context(open_turn_log(file))
        endings = await stack.enter_async_context(asyncio.TaskGroup())
        executor = TurnExecutor(LimitedRunner(agent, most), log, endings, durability=lambda _: durability)
        sessions = await stack.enter_async_context(LiveSessions(executor))
        server = await stack.enter_async_context(
            serve(
                "127.0.0.1:0",
                register=lambda server: add_agent_service(server, executor, sessions, agent.card),
                services=[AGENT_SERVICE],
            )
        )
        yield Place(AgentClient(await stack.enter_async_context(open_channel(server.address))), log, file)


async def two_words(_: TurnRequest, emit: Emit) -> None:
    await emit(TextDelta("one "))
    await emit(TextDelta("two"))


@pytest.mark.parametrize("durability", list(Durability))
async def test_a_turn_is_the_same_for_its_caller_and_for_who_comes_later(
    tmp_path: Path, durability: Durability
) -> None:
    agent = ScriptedAgent(two_words)
    async with place_of(agent, tmp_path, durability) as place:
        first, second = await place.ask(), await place.ask()
        history = await place.log.history("default", "c", 9)
    async with place_of(agent, tmp_path, durability) as place:
        third = await place.ask()
    assert first == second == third
    assert [event.sequence for event in first] == [1, 2, 3, 4]
    assert [message.text for message in history] == ["hi", "one two"]
    assert len(agent.asked) == 1


async def test_of_a_durable_turn_nothing_is_shown_that_is_not_on_the_disk(tmp_path: Path) -> None:
    go_on = asyncio.Semaphore(0)

    async def stepwise(_: TurnRequest, emit: Emit) -> None:
        for number in range(3):
            await go_on.acquire()
            await emit(TextDelta(str(number)))

    async with place_of(ScriptedAgent(stepwise), tmp_path, Durability.BEFORE_SHOWN) as place:
        async with aclosing(place.client.invoke(asks(), timeout=TIMEOUT)) as events:
            async for event in events:
                assert place.last_on_disk >= event.sequence
                go_on.release()
        (turn,) = (await place.log.list_turns("default", "c", 9)).turns
        assert turn.outcome is Outcome.COMPLETED


@pytest.mark.parametrize("durability", list(Durability))
async def test_a_long_turn_arrives_whole_and_in_order(tmp_path: Path, durability: Durability) -> None:
    async def floods(_: TurnRequest, emit: Emit) -> None:
        for number in range(2_000):
            await emit(TextDelta(f"{number} "))

    async with place_of(ScriptedAgent(floods), tmp_path, durability) as place:
        events = await place.ask()
        again = await place.ask()
    assert [event.sequence for event in events] == list(range(1, 2_003))
    assert [event.body for event in events[1:-1]] == [TextDelta(f"{number} ") for number in range(2_000)]
    assert again == events


@pytest.mark.parametrize("durability", list(Durability))
async def test_a_cancelled_turn_ends_in_the_log(tmp_path: Path, durability: Durability) -> None:
    async def never_ends(_: TurnRequest, emit: Emit) -> None:
        await emit(TextDelta("…"))
        await asyncio.Event().wait()

    agent = ScriptedAgent(never_ends)
    async with place_of(agent, tmp_path, durability) as place:
        async with aclosing(place.client.invoke(asks(), timeout=TIMEOUT)) as events:
            assert [type((await anext(events)).body) for _ in range(2)] == [Accepted, TextDelta]
        await asyncio.wait_for(agent.cancelled.wait(), LIMIT)
        assert [event.body for event in await place.ask()][-1] == TurnDone(Outcome.CANCELLED)
    async with place_of(agent, tmp_path, durability) as place:
        (turn,) = (await place.log.list_turns("default", "c", 9)).turns
    assert (turn.outcome, [message.text for message in turn.responses]) == (Outcome.CANCELLED, ["…"])


async def fill_the_disk(place: Place) -> None:
    await place.log._writer.submit(lambda connection: connection.execute("PRAGMA max_page_count = 1"))


async def long_answer(_: TurnRequest, emit: Emit) -> None:
    await emit(TextDelta("x" * 100_000))


async def test_a_durable_turn_fails_where_the_disk_is_full(tmp_path: Path) -> None:
    async with place_of(ScriptedAgent(long_answer), tmp_path, Durability.BEFORE_SHOWN) as place:
        await fill_the_disk(place)
        with pytest.raises(StoreUnavailableError):
            await place.ask()


async def test_another_turn_goes_on_where_the_disk_is_full(tmp_path: Path) -> None:
    async with place_of(ScriptedAgent(long_answer), tmp_path, Durability.BEHIND) as place:
        await fill_the_disk(place)
        for turn_id in ("1", "2"):
            assert [type(event.body) for event in await place.ask(turn_id)] == [Accepted, TextDelta, TurnDone]


async def test_no_more_turns_run_at_once_than_the_limit_says(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def waits(_: TurnRequest, __: Emit) -> None:
        await go_on.wait()

    agent = ScriptedAgent(waits)
    async with place_of(agent, tmp_path, Durability.BEHIND, most=1) as place:
        first = asyncio.create_task(place.ask("1"))
        await asyncio.wait_for(agent.started.wait(), LIMIT)
        with pytest.raises(QuotaExceededError, match="try again") as refused:
            await place.ask("2")
        assert refused.value.retry_after == timedelta(seconds=1)
        go_on.set()
        assert (await first)[-1].body == TurnDone(Outcome.COMPLETED)
        assert (await place.ask("2"))[-1].body == TurnDone(Outcome.COMPLETED)


async def test_a_refused_turn_leaves_its_place_to_others(tmp_path: Path) -> None:
    agent = ScriptedAgent(two_words, refusal=StoreUnavailableError("not now"))
    async with place_of(agent, tmp_path, Durability.BEHIND, most=1) as place:
        for _ in range(3):
            with pytest.raises(StoreUnavailableError):
                await place.ask()
        agent.refusal = None
        assert len(await place.ask()) == 4
