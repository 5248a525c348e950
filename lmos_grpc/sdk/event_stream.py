"""Reads the events of a turn: notices what is missing, and puts the answer together."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from lmos_grpc.domain.event import Clarification, Failure, MessageDone, Outcome, TextDelta, TurnDone
from lmos_grpc.errors import AgentFailedError, AgentStreamBrokenError, CallCancelledError, UnreachableError, error_from

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lmos_grpc.domain.event import AgentEvent, Source, Usage


async def unbroken(events: AsyncGenerator[AgentEvent, None]) -> AsyncGenerator[AgentEvent, None]:
    """Yields the events up to and with `TurnDone`, and closes their source.

    Raises:
        AgentStreamBrokenError: numbers are missing, or the stream ended before its turn was done.
        LmosError: the call failed before its first event, or at its deadline.
    """
    last = 0
    async with aclosing(events):
        try:
            async for event in events:
                if event.sequence != last + 1:
                    raise AgentStreamBrokenError(f"event {event.sequence} came after {last}: the stream lost something")
                last = event.sequence
                yield event
                if isinstance(event.body, TurnDone):
                    return
        except UnreachableError as error:
            if not last:
                raise
            raise AgentStreamBrokenError(f"the stream broke after event {last}: {error}") from error
    raise AgentStreamBrokenError(f"the stream ended after event {last}, before its turn was done")


class Answer:
    """The answer of a turn, as its events build it up."""

    def __init__(self) -> None:
        self._texts: dict[Source, list[str]] = {}
        self._open: set[Source] = set()
        self._question = ""
        self._failure: Failure | None = None
        self._done: TurnDone | None = None

    @property
    def text(self) -> str:
        """What was said; the sources of a fan-out one after the other, and a question of the agent at the end."""
        answers = ["".join(pieces) for pieces in self._texts.values()]
        return "\n\n".join(each for each in (*answers, self._question) if each)

    @property
    def usage(self) -> Usage | None:
        """What the turn used up, once it is done."""
        return self._done.usage if self._done else None

    def take(self, event: AgentEvent) -> str:
        """Takes in an event, and gives the text that it adds."""
        match event.body:
            case TextDelta(text):
                self._open.add(event.source)
                return self._add(event.source, text)
            case MessageDone(message):
                # It repeats the deltas before it, if there were any.
                repeats = event.source in self._open
                self._open.discard(event.source)
                return "" if repeats else self._add(event.source, message.text)
            case Clarification(_, question):
                self._question = question
            case Failure():
                self._failure = event.body
            case TurnDone():
                self._done = event.body
        return ""

    def raise_if_failed(self) -> None:
        """Raises what ended the turn, if anything did.

        Raises:
            LmosError: the turn failed or was cancelled.
        """
        outcome = self._done.outcome if self._done else None
        if outcome is Outcome.FAILED and self._failure:
            raise error_from(self._failure.detail)
        if outcome is Outcome.FAILED:
            raise AgentFailedError("the turn failed, and nobody said why")
        if outcome is Outcome.CANCELLED:
            raise CallCancelledError("the turn was cancelled")

    def _add(self, source: Source, text: str) -> str:
        self._texts.setdefault(source, []).append(text)
        return text
