"""What the contract promises of live sessions, each promise by its name, through a real Envoy."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import grpc
import pytest
from lmos.agent.v1 import agent_event_pb2 as event_pb
from lmos.agent.v1 import agent_service_pb2 as service_pb
from lmos.agent.v1 import live_session_pb2 as live_pb
from lmos.agent.v1 import message_pb2

from lmos_grpc import Agent
from lmos_grpc.domain.live_session import UserText
from tests.fakes.live_caller import LIMIT, live_caller, text_of
from tests.mesh.whole_mesh import billing_agent, until, whole_mesh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from lmos_grpc import Turn

pytestmark = pytest.mark.mesh
BILL = "why is my bill so high"
STORY = "tell me a long story"
COUNT = "count to two hundred"
_KEEP = timedelta(seconds=30)


class StoryAgent(Agent):
    """Talks without an end, and goes on a while when it is told to stop."""

    def __init__(self, *, listens: bool = False) -> None:
        super().__init__("story-agent", version="1.0.0", description="Tells stories.", listens=listens)
        self.told = 0
        self.stopped = asyncio.Event()

        @self.capability("tell-story", version="1.0.0", examples={"en": [STORY, "go on with the story"]})
        async def tell(turn: Turn) -> AsyncIterator[str]:
            async for given in turn.inputs():
                if not isinstance(given, UserText):
                    continue
                async with turn.interruptible():
                    try:
                        while True:
                            yield f"<{turn.turn_id}>"
                            self.told += 1
                            await asyncio.sleep(0)
                    except asyncio.CancelledError:
                        await asyncio.sleep(0.05)  # it is slow to stop; what it says meanwhile is the case
                        raise
                    finally:
                        self.stopped.set()


class CountingAgent(Agent):
    """Counts, a number at a time, once it may."""

    def __init__(self) -> None:
        super().__init__("counting-agent", version="1.0.0", description="Counts.")
        self.may = asyncio.Semaphore(0)
        self.ended = asyncio.Event()

        @self.capability("count", version="1.0.0", examples={"en": [COUNT, "count please"]})
        async def count(_turn: Turn) -> AsyncIterator[str]:
            try:
                for number in range(200):
                    await self.may.acquire()
                    yield f"{number} "
            finally:
                self.ended.set()


@pytest.mark.parametrize("listens", [False, True])
async def test_output_of_a_cancelled_turn_never_arrives_after_the_acknowledgement_of_the_cancel(
    tmp_path: Path, *, listens: bool
) -> None:
    story = StoryAgent(listens=listens)
    async with whole_mesh(tmp_path, story, billing_agent()) as mesh, live_caller(mesh.edge) as caller:
        await caller.start(conversation_id="call-1", locale="en")
        over: set[str] = set()
        for number in range(12):
            turn = f"t{number}"
            story.stopped.clear()
            await caller.text(STORY, turn)
            heard = await caller.hear_until("text_delta")
            for _ in range(number * 7):  # at ever other moments
                heard.append(await caller.hear())
            if number % 3:
                await caller.say(cancel=live_pb.Cancel(turn_id=turn, heard_text=f"<{turn}>"))
                acknowledged = event_pb.OUTCOME_CANCELLED
            else:
                await caller.text(BILL, f"{turn}-after")
                acknowledged = event_pb.OUTCOME_INTERRUPTED
            heard += await caller.hear_until("turn_done")
            assert (heard[-1].turn_id, heard[-1].turn_done.outcome) == (turn, acknowledged)
            over.add(turn)
            if not number % 3:
                heard = await caller.hear_until("turn_done")
                assert text_of(heard) == "Your bill is 42 euros."
            assert not [each for each in heard[:-1] if each.turn_id in over - {turn}]
            await asyncio.wait_for(story.stopped.wait(), LIMIT)
            await caller.say(ping=live_pb.Ping(id=number))
            after = await caller.hear_until("pong")
            assert [each.WhichOneof("event") for each in after] == ["pong"]


async def test_half_close_is_no_more_input_and_no_hanging_up(tmp_path: Path) -> None:
    counting = CountingAgent()
    async with whole_mesh(tmp_path, counting) as mesh, live_caller(mesh.edge) as caller:
        await caller.start(conversation_id="call-1", locale="en")
        await caller.text(COUNT, "t1")
        await caller.hear_until("routed")
        await caller.half_close()
        for _ in range(200):
            counting.may.release()
        rest = await caller.rest()
        assert text_of(rest).split() == [str(number) for number in range(200)]
        assert rest[-2].turn_done.outcome == event_pb.OUTCOME_COMPLETED
        assert rest[-1].session_ended.reason == live_pb.END_REASON_DONE
        assert await caller.ends() is grpc.StatusCode.OK


async def test_a_reset_without_end_keeps_the_session_and_what_runs_in_it_for_30_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting, waits = CountingAgent(), _Timers(monkeypatch)
    async with whole_mesh(tmp_path, counting) as mesh:
        async with live_caller(mesh.edge) as caller:
            ready = await caller.start(conversation_id="call-1", locale="en")
            await caller.text(COUNT, "t1")
            counting.may.release()
            await caller.hear_until("text_delta")
        await until(lambda: waits.running == 1)
        counting.may.release()
        async with live_caller(mesh.edge) as again:
            resumed = await again.start(resume_token=ready.resume_token, last_sequence=caller.last)
            assert (resumed.resumed, resumed.session_id) == (True, ready.session_id)
            assert (await again.hear()).text_delta.text == "1 "
            assert waits.running == 0
        await until(lambda: waits.running == 1)
        assert not counting.ended.is_set()
        waits.run_out()
        await asyncio.wait_for(counting.ended.wait(), LIMIT)
        async with live_caller(mesh.edge) as late:
            new = await late.start(conversation_id="call-1", resume_token=ready.resume_token, last_sequence=again.last)
            assert (new.resumed, new.conversation_id) == (False, "call-1")


class _Timers:
    """Those by which sessions wait for 30 seconds, to be run out by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._loop = asyncio.get_running_loop()
        self._handles: list[asyncio.TimerHandle] = []
        self._real = self._loop.call_later
        monkeypatch.setattr(self._loop, "call_later", self._call_later)

    def _call_later(self, delay: float, callback: Callable[..., object], *args: object) -> asyncio.TimerHandle:
        handle = self._real(delay, callback, *args)
        if delay == _KEEP.total_seconds() and getattr(callback, "__name__", "") == "_expire":
            self._handles.append(handle)
        return handle

    @property
    def running(self) -> int:
        return len([each for each in self._handles if not each.cancelled()])

    def run_out(self) -> None:
        for each in self._handles:
            if not each.cancelled():
                each._run()  # as the loop would in 30 seconds
                each.cancel()


async def test_resuming_goes_on_after_the_last_number_without_a_lost_or_doubled_event(tmp_path: Path) -> None:
    counting = CountingAgent()
    async with whole_mesh(tmp_path, counting) as mesh:
        token, heard, last = "", [], 0
        for _ in range(200):
            counting.may.release()
        for attempt in range(25):
            async with live_caller(mesh.edge) as caller:
                started = (
                    await caller.start(conversation_id="call-1", locale="en")
                    if not token
                    else await caller.start(resume_token=token, last_sequence=last)
                )
                assert started.resumed == bool(token)
                token = token or started.resume_token
                caller.last = max(caller.last, last)
                # Sent again on every stream, and taken once.
                await caller.text(COUNT, "t1", sequence=2)
                for _ in range(1 + attempt % 9):
                    heard.append(await caller.hear())
                    if heard[-1].WhichOneof("event") == "turn_done":
                        break
                last = caller.last
            if heard[-1].WhichOneof("event") == "turn_done":
                break
        else:
            async with live_caller(mesh.edge) as caller:
                await caller.start(resume_token=token, last_sequence=last)
                heard += await caller.hear_until("turn_done")
    assert [each.sequence for each in heard] == list(range(2, len(heard) + 2))
    assert text_of(heard).split() == [str(number) for number in range(200)]
    assert [each.WhichOneof("event") for each in heard].count("accepted") == 1


async def test_a_token_that_nobody_knows_tells_to_begin_anew_and_the_history_goes_on(tmp_path: Path) -> None:
    async with whole_mesh(tmp_path, billing_agent()) as mesh:
        async with live_caller(mesh.edge) as caller:
            await caller.start(conversation_id="call-1", locale="en")
            await caller.ask(BILL, "t1")
        async with live_caller(mesh.edge) as lost:
            await lost.say(start=live_pb.SessionStart(resume_token="of another process", last_sequence=3))  # noqa: S106
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await lost.hear()
            assert refused.value.code() is grpc.StatusCode.NOT_FOUND
            assert "the conversation id" in str(refused.value.details())
        async with live_caller(mesh.edge) as again:
            ready = await again.start(conversation_id="call-1", resume_token="of another process", locale="en")  # noqa: S106
            assert (ready.resumed, ready.conversation_id) == (False, "call-1")
            # The turn is known: its events are given, and it is not run again.
            assert text_of(await again.ask(BILL, "t1")) == "Your bill is 42 euros."


async def test_a_turn_in_full_brings_its_own_parts_into_the_session(tmp_path: Path) -> None:
    async with whole_mesh(tmp_path, billing_agent()) as mesh, live_caller(mesh.edge) as caller:
        await caller.start(conversation_id="call-1", locale="en")
        message = message_pb2.Message(parts=[message_pb2.Part(text=BILL)])
        await caller.say(turn=service_pb.InvokeRequest(conversation_id="another", turn_id="t1", message=message))
        heard = await caller.hear_until("turn_done")
        assert text_of(heard) == "Your bill is 42 euros."
        assert heard[0].accepted.conversation_id == "call-1"
