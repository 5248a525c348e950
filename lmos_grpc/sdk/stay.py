"""One function of an agent that stays with a live session, from turn to turn."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry import context as tracing

from lmos_grpc.domain.event import Outcome, ToolCall, ToolCallState
from lmos_grpc.domain.live_session import ToolResult
from lmos_grpc.errors import ShuttingDownError
from lmos_grpc.sdk.input_queue import InputQueue
from lmos_grpc.sdk.listening import input_of
from lmos_grpc.sdk.turn import Turn
from lmos_grpc.telemetry.failure import stack_without_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from opentelemetry.context import Context

    from lmos_grpc.domain.event import EventBody
    from lmos_grpc.domain.live_session import CallerInput
    from lmos_grpc.sdk.answering import Answering
    from lmos_grpc.sdk.offer import Offer
    from lmos_grpc.sdk.turn_scope import TurnScope

_LOG = logging.getLogger(__name__)
# So long a function has for its last words to itself when the session is over.
_GOODBYE_SECONDS = 2.0


@dataclass(slots=True, eq=False)
class _Answer:
    """A turn that waits for its answer; None as its outcome means that the function never knew of it."""

    scope: TurnScope
    answering: Answering
    done: asyncio.Future[Outcome | None]
    tracing: Context
    # Whether the function knows of it, because it was called with it or has taken its input.
    begun: bool = False
    taken: bool = False
    tools: set[str] = field(default_factory=set)


class Stay:
    """Runs the function in a task of its own. Its turns come and go; each says what the function yields meanwhile.

    A turn is answered when the function asks for the next input, or ends. What it yields before a turn has begun waits
    for it; what it yields after it was interrupted, and before it has taken another input, is dropped.
    """

    def __init__(self, offer: Offer, scope: TurnScope) -> None:
        self.offer = offer
        # The function's own, so that a turn that ends keeps what belongs to it.
        self._scope = copy.copy(scope)
        self._inputs: InputQueue[_Answer] = InputQueue()
        self._answer: _Answer | None = None
        self._turn_came = asyncio.Event()
        self._listening = self._interrupted = self._leaving = False
        self._block: asyncio.Timeout | None = None
        self._block_left = asyncio.Event()
        self._outcome = Outcome.COMPLETED
        self._task: asyncio.Task[None] | None = None

    @property
    def over(self) -> bool:
        """Whether the function has ended."""
        return self._task is not None and self._task.done()

    def hear(self, given: CallerInput) -> None:
        """Takes what the caller did beside asking."""
        self._inputs.put(given)

    async def answer(self, scope: TurnScope, answering: Answering, tasks: asyncio.TaskGroup) -> Outcome | None:
        """Answers a turn; None where the function ended without knowing of it.

        Raises:
            Exception: whatever the function raised.
        """
        done: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()
        answer = self._answer = _Answer(scope, answering, done, tracing.get_current(), begun=self._task is None)
        self._inputs.ask(answer)
        self._turn_came.set()
        if self._task is None:
            self._task = tasks.create_task(self._run())
        try:
            return await done
        except asyncio.CancelledError:
            await self._interrupt(answer)
            raise

    async def leave(self) -> None:
        """Ends the inputs, and after a while the function."""
        self._leaving = True
        self._inputs.close()
        self._turn_came.set()
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=_GOODBYE_SECONDS)
            await self._stop(self._task)

    async def inputs(self) -> AsyncIterator[CallerInput]:
        """What the caller does, from what began the first turn on."""
        while (given := await self._next()) is not None:
            yield given

    @asynccontextmanager
    async def interruptible(self) -> AsyncIterator[None]:
        """Ends the block where the caller interrupts it, in place of the function."""
        if self._block is not None:
            yield
            return
        block = self._block = asyncio.timeout(None)
        self._block_left.clear()
        try:
            async with block:
                yield
        except TimeoutError:
            if not block.expired():
                raise
        finally:
            self._block = None
            self._block_left.set()

    async def _next(self) -> CallerInput | None:
        answer = self._answer
        if answer is not None and answer.taken and not answer.tools:
            self._finish(answer, Outcome.COMPLETED)
        self._listening, self._interrupted = True, False
        try:
            given = await self._inputs.get()
        finally:
            self._listening = False
        if isinstance(given, _Answer):
            return self._take(given)
        if isinstance(given, ToolResult) and self._answer is not None:
            self._answer.tools.discard(given.id)
        return given

    def _take(self, answer: _Answer) -> CallerInput:
        answer.begun = answer.taken = True
        self._scope.adopt(answer.scope)
        # What the function does from now on belongs to the trace of this turn.
        tracing.attach(answer.tracing)
        return input_of(answer.scope.request)

    async def _run(self) -> None:
        try:
            await self._work()
        except Exception as error:  # noqa: BLE001 # the edge of the function: its turn is told, or else the log
            self._fail(error)
        finally:
            if (answer := self._answer) is not None:
                self._end(answer)

    async def _work(self) -> None:
        answers = self.offer.function(Turn(self._scope, self))
        if not isinstance(answers, AsyncGenerator):
            item = await answers  # type: ignore[misc] # what is `async def` and no generator is a coroutine
            if item is not None:
                await self._say(item)
            return
        step = anext(answers)
        try:
            while True:
                try:
                    ended = await self._say(await step)
                except StopAsyncIteration:
                    return
                except asyncio.CancelledError as cancelled:
                    if self._block is None:
                        raise
                    # It was at a `yield` of a block that is interrupted, and hears of it there.
                    step = answers.athrow(cancelled)
                else:
                    if ended:
                        return
                    step = anext(answers)
        finally:
            await answers.aclose()

    async def _say(self, item: str | EventBody) -> bool:
        """Says something in the turn that runs; whether that ended it."""
        while self._answer is None and not (self._interrupted or self._leaving):
            self._turn_came.clear()
            await self._turn_came.wait()
        answer = self._answer
        if answer is None or self._interrupted:
            return False
        if isinstance(item, ToolCall) and item.state is ToolCallState.REQUESTED:
            answer.tools.add(item.id)
        outcome = await answer.answering.take(item)
        self._outcome = outcome or self._outcome
        return outcome is not None

    async def _interrupt(self, answer: _Answer) -> None:
        if self._answer is answer:
            self._answer = None
        self._inputs.withdraw()
        if not answer.begun or self._listening or self._task is None:
            return
        self._interrupted = True
        if self._block is None:
            await self._stop(self._task)
        else:
            self._block.reschedule(asyncio.get_running_loop().time())
            await self._block_left.wait()

    @staticmethod
    async def _stop(task: asyncio.Task[None]) -> None:
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))

    def _finish(self, answer: _Answer, outcome: Outcome | None) -> None:
        self._answer = None
        if not answer.done.done():
            answer.done.set_result(outcome)

    def _fail(self, error: Exception) -> None:
        answer = self._answer
        if answer is not None and answer.begun and not answer.done.done():
            self._answer = None
            answer.done.set_exception(error)
        else:
            # Without its text, which may quote the caller.
            _LOG.error("%s failed between two turns\n%s", self.offer.capability.id, stack_without_text(error))

    def _end(self, answer: _Answer) -> None:
        if self._leaving and not answer.done.done():
            answer.done.set_exception(ShuttingDownError("the live session of the turn is over"))
        self._finish(answer, self._outcome if answer.begun else None)
