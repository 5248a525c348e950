"""Any order of calls, cancellations and restarts: both logs do what a plain model of the contract says."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lmos_grpc.domain.conversation import ConversationState, TurnKey
from lmos_grpc.domain.event import Failure, Outcome, TurnDone
from lmos_grpc.errors import TurnConflictError, TurnNotFoundError
from tests.fakes.turn_logs import HandTime, LogMaker, asks, done, follow, says, word

if TYPE_CHECKING:
    from lmos_grpc.domain.event import AgentEvent

TENANTS = ("de", "pl")
IDS = ("a", "A")
KEYS = st.builds(TurnKey, st.sampled_from(TENANTS), st.sampled_from(IDS), st.sampled_from(IDS))


@dataclass
class Expected:
    text: str
    events: list[AgentEvent] = field(default_factory=list)
    ended: bool = False

    @property
    def seen(self) -> bool:
        return self.ended or bool(self.events)

    @property
    def over(self) -> bool:
        return bool(self.events) and isinstance(self.events[-1].body, TurnDone)


class LogMachine(RuleBasedStateMachine):
    """The model is a dict of turns; every step is checked against it from all sides."""

    kind = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.maker = LogMaker(self.kind, Path(self.folder.name), HandTime())
        self.turns: dict[TurnKey, Expected] = {}
        self.ends: dict[tuple[str, str], int] = {}
        self.open()

    def open(self) -> None:
        self.stack = AsyncExitStack()
        self.log = self.loop.run_until_complete(self.stack.enter_async_context(self.maker.open()))

    def close(self) -> None:
        self.loop.run_until_complete(self.stack.aclose())

    def teardown(self) -> None:
        self.close()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.folder.cleanup()

    def running(self, key: TurnKey) -> Expected | None:
        turn = self.turns.get(key)
        return None if turn is None or turn.ended else turn

    @rule(key=KEYS, text=st.sampled_from(("hi", "ho")))
    def begin(self, key: TurnKey, text: str) -> None:
        known = self.turns.get(key)
        call = self.log.begin(key, asks(text))
        if known is not None and known.text != text:
            with pytest.raises(TurnConflictError):
                self.loop.run_until_complete(call)
            return
        assert self.loop.run_until_complete(call).is_new is (known is None)
        self.turns.setdefault(key, Expected(text))

    @rule(key=KEYS, count=st.integers(1, 3), last=st.booleans())
    def append(self, key: TurnKey, count: int, *, last: bool) -> None:
        turn = self.running(key)
        if turn is not None and not turn.over:
            events = self.next_events(key, turn, count, last=last)
            self.loop.run_until_complete(self.log.append(key, *events))
            turn.events += events

    @rule(key=KEYS, count=st.integers(1, 3), steps=st.integers(1, 3))
    def append_cut_off(self, key: TurnKey, count: int, steps: int) -> None:
        turn = self.running(key)
        if turn is None or turn.over:
            return
        events = self.next_events(key, turn, count, last=True)
        self.loop.run_until_complete(self.cut_off(key, events, steps))
        turn.events += events

    async def cut_off(self, key: TurnKey, events: list[AgentEvent], steps: int) -> None:
        call = asyncio.ensure_future(self.log.append(key, *events))
        for _ in range(steps):
            await asyncio.sleep(0)  # a step of the call
        call.cancel()
        await asyncio.wait((call,))

    def next_events(self, key: TurnKey, turn: Expected, count: int, *, last: bool) -> list[AgentEvent]:
        first = len(turn.events) + 1
        events = [word(sequence, f"{sequence}", key) for sequence in range(first, first + count)]
        return [*events[:-1], done(events[-1].sequence, key=key)] if last else events

    @rule(key=KEYS)
    def finish(self, key: TurnKey) -> None:
        turn = self.running(key)
        if turn is not None:
            end = Outcome.COMPLETED, (says("x"),), ConversationState("billing")
            self.loop.run_until_complete(self.log.finish(key, *end))
            self.end(key, turn)

    def end(self, key: TurnKey, turn: Expected) -> None:
        place = (key.tenant, key.conversation_id)
        self.ends[place] = self.ends.get(place, 0) + (not turn.ended)
        turn.ended = True

    @rule(key=KEYS)
    def abandon(self, key: TurnKey) -> None:
        turn = self.running(key)
        if turn is not None:
            self.loop.run_until_complete(self.log.abandon(key))
            if not turn.events:
                del self.turns[key]

    @precondition(lambda self: self.kind != "memory")
    @rule()
    def restart(self) -> None:
        self.close()
        self.open()
        for key, turn in list(self.turns.items()):
            if not turn.ended:
                self.loop.run_until_complete(self.ended_by_restart(key, turn))

    async def ended_by_restart(self, key: TurnKey, turn: Expected) -> None:
        try:
            found = await follow(self.log, key)
        except TurnNotFoundError:
            assert not turn.events
            del self.turns[key]
            return
        kept = found[:-2] if isinstance(found[-2].body if found[1:] else None, Failure) else found
        assert kept == turn.events
        if kept is not found:
            assert [event.sequence for event in found] == list(range(1, len(found) + 1))
            assert found[-1] == done(len(found), Outcome.FAILED, key)
        turn.events = found
        self.end(key, turn)

    @rule(key=KEYS, after=st.integers(0, 8))
    def follow(self, key: TurnKey, after: int) -> None:
        turn = self.turns.get(key)
        if turn is None:
            with pytest.raises(TurnNotFoundError):
                self.loop.run_until_complete(follow(self.log, key, after))
        elif turn.ended or turn.over:
            found = self.loop.run_until_complete(follow(self.log, key, after))
            assert found == turn.events[after:]

    @invariant()
    def every_conversation_is_as_the_model_says(self) -> None:
        self.loop.run_until_complete(self.check_conversations())

    async def check_conversations(self) -> None:
        for tenant in TENANTS:
            for conversation in IDS:
                place = (tenant, conversation)
                whole = {key: turn for key, turn in self.turns.items() if (key.tenant, key.conversation_id) == place}
                expected = {key: turn for key, turn in whole.items() if turn.seen}
                said = len(await self.log.history(*place, 100))
                assert said >= sum(turn.ended for turn in expected.values())
                if expected:
                    page = await self.log.list_turns(*place, 100)
                    found = {turn.key: (turn.request.text, turn.outcome is not None) for turn in page.turns}
                    assert found == {key: (turn.text, turn.ended) for key, turn in expected.items()}
                    assert (await self.log.state(*place)).turn_count == self.ends.get(place, 0)


class BehindLogMachine(LogMachine):
    kind = "behind"


class BeforeShownLogMachine(LogMachine):
    kind = "before-shown"


_LIMITS = settings(max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TestMemoryLog = LogMachine.TestCase
TestMemoryLog.settings = _LIMITS
TestBehindLog = BehindLogMachine.TestCase
TestBehindLog.settings = _LIMITS
TestBeforeShownLog = BeforeShownLogMachine.TestCase
TestBeforeShownLog.settings = _LIMITS
