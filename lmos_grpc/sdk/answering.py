"""Turns what a capability yields into the events of its turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from lmos_grpc.domain.event import (
    Clarification,
    Handover,
    MessageDone,
    Outcome,
    Status,
    TextDelta,
    ToolCall,
    TurnDone,
    Unread,
    Usage,
)
from lmos_grpc.domain.live_session import InputSpec, Prompt, Recording, SessionEnded, Transfer
from lmos_grpc.domain.turn import Message, Role, TextPart
from lmos_grpc.errors import InvalidConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import timedelta

    from lmos_grpc.domain.event import EventBody, Source
    from lmos_grpc.sdk.turn_scope import TurnScope

_OUTCOMES = {
    Transfer: Outcome.TRANSFERRED,
    SessionEnded: Outcome.SESSION_ENDED,
    Clarification: Outcome.INPUT_REQUIRED,
}


class Tell(Protocol):
    """Sends one event of a turn on, as far as the code of an agent has to do with it."""

    def __call__(self, body: EventBody, source: Source = ..., /) -> Awaitable[None]:
        """As `Emit`."""


@dataclass(slots=True)
class Answering:
    """Emits the answer of one capability, from the first piece of text to the end of the turn."""

    emit: Tell
    source: Source
    scope: TurnScope
    may_hand_over: bool
    on_text: Callable[[], None]
    _pieces: list[str] = field(default_factory=list)

    async def take(self, item: str | EventBody) -> Outcome | None:
        """Emits what was yielded. An outcome means that it ends the turn."""
        await self._emit_waiting()
        if isinstance(item, str):
            item = TextDelta(item)
        match item:
            case TextDelta():
                await self._say(item)
            case Status() | ToolCall() | InputSpec() | Prompt() | Recording() | Unread():
                await self.emit(item, self.source)
            case Transfer() | SessionEnded() | Clarification():
                return await self._end_with(item, _OUTCOMES[type(item)])
            case MessageDone():
                self._pieces.clear()
                await self.emit(item, self.source)
            case Usage():
                self.scope.spent.append(item)
                await self.emit(item, self.source)
            case Handover():
                self._check_handover()
                return await self._end_with(item, Outcome.HANDED_OVER)
            case TurnDone(outcome, usage):
                self.scope.spent.append(usage)
                return outcome
            case _:
                # What comes first in a turn and what fails it is said by the service, not by its agents.
                raise InvalidConfigurationError(
                    f"capability {self.source.capability} may not yield {type(item).__name__}: yield text, or what "
                    "the methods of Turn make",
                    agent=self.source.agent,
                )
        return None

    async def finish(self, outcome: Outcome, elapsed: timedelta) -> None:
        """Emits the whole message, and the end of the turn with all that it used up."""
        await self._emit_waiting()
        await self._finish_message()
        await self.emit(TurnDone(outcome, _total(self.scope.spent, elapsed)), self.source)

    async def _say(self, said: TextDelta) -> None:
        if said.text:
            self._pieces.append(said.text)
            self.on_text()
            await self.emit(said, self.source)

    async def _end_with(self, last: Clarification | Handover | Transfer | SessionEnded, outcome: Outcome) -> Outcome:
        await self._finish_message()
        await self.emit(last, self.source)
        return outcome

    async def _finish_message(self) -> None:
        if self._pieces:
            text = "".join(self._pieces)
            self._pieces.clear()
            turn_id = self.scope.request.turn_id
            message = Message(Role.AGENT, (TextPart(text),), agent=self.source.agent, turn_id=turn_id)
            await self.emit(MessageDone(message), self.source)

    async def _emit_waiting(self) -> None:
        while self.scope.waiting:
            await self.emit(self.scope.waiting.pop(0), self.source)

    def _check_handover(self) -> None:
        if not self.may_hand_over:
            raise InvalidConfigurationError(
                f"{self.source.agent} wants to hand over and did not say on its card that it may: "
                "make the agent with may_hand_over=True",
                agent=self.source.agent,
            )


def _total(usages: Iterable[Usage], elapsed: timedelta) -> Usage:
    usages = list(usages)
    models = dict.fromkeys(each.model for each in usages if each.model)
    currencies = {each.currency for each in usages if each.cost_micros}
    one_currency = len(currencies) == 1
    return Usage(
        model=", ".join(models),
        input_tokens=sum(each.input_tokens for each in usages),
        output_tokens=sum(each.output_tokens for each in usages),
        cost_micros=sum(each.cost_micros for each in usages) if one_currency else 0,
        currency=currencies.pop() if one_currency else "",
        elapsed=elapsed,
    )
