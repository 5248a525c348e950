"""The events of one turn: numbers them, and lets nothing through after the last."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lmos_grpc.domain.conversation import ConversationState, OpenQuestion
from lmos_grpc.domain.event import (
    Accepted,
    AgentEvent,
    Clarification,
    MessageDone,
    Source,
    TextDelta,
    TurnDone,
)
from lmos_grpc.domain.turn import Message, Role, TextPart

if TYPE_CHECKING:
    from lmos_grpc.domain.event import (
        EventBody,
        Outcome,
    )
    from lmos_grpc.domain.turn import TurnRequest

_LOG = logging.getLogger(__name__)
_SELF = Source()


class EventStream:
    """Numbers the events of a turn and remembers what the conversation needs to know of them."""

    def __init__(self, turn: TurnRequest) -> None:
        self._turn = turn
        self._sequence = 0
        self._texts: dict[Source, list[str]] = {}
        self._messages: dict[Source, Message] = {}
        self._question: OpenQuestion | None = None
        self.outcome: Outcome | None = None

    def draft(self, body: EventBody, source: Source = _SELF) -> AgentEvent | None:
        """The event with the next number, or None where the turn was over already. The number is not used up yet."""
        if self.outcome is not None:
            _LOG.warning("dropped an event after the end of turn %s from %s", self._turn.turn_id, source.agent)
            return None
        return AgentEvent(self._sequence + 1, self._turn.turn_id, body, source)

    def commit(self, event: AgentEvent) -> None:
        """Uses up the number of a draft, as it is given to the caller."""
        self._sequence = event.sequence
        self._observe(event.body, event.source)

    def responses(self) -> tuple[Message, ...]:
        """What was answered, a message per source."""
        texts = {
            source: Message(Role.AGENT, (TextPart("".join(pieces)),), source.agent, self._turn.turn_id)
            for source, pieces in self._texts.items()
        }
        return tuple({**texts, **self._messages}.values())

    def state_after(self, before: ConversationState) -> ConversationState:
        """What routing needs to know for the next turn."""
        answered = [source for source in (*self._texts, *self._messages) if source.agent]
        last = answered[-1] if answered else Source(before.last_agent, capability=before.last_capability)
        return ConversationState(last.agent, last.capability, self._question, before.turn_count + 1)

    def _observe(self, body: EventBody, source: Source) -> None:
        match body:
            case TextDelta(text):
                self._texts.setdefault(source, []).append(text)
            case MessageDone(message):
                self._messages[source] = message
            case Clarification():
                self._question = OpenQuestion(body, source.agent, source.capability)
            case TurnDone(outcome):
                self.outcome = outcome


def accepted(turn: TurnRequest) -> Accepted:
    """The first event of a turn."""
    return Accepted(turn.conversation_id)
