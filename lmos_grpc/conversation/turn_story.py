"""What a turn led to, told from its events, and the events of a turn, told from its record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lmos_grpc.domain.conversation import ConversationState, OpenQuestion
from lmos_grpc.domain.event import (
    Accepted,
    AgentEvent,
    Clarification,
    Failure,
    MessageDone,
    Outcome,
    Source,
    TextDelta,
    TurnDone,
)
from lmos_grpc.domain.turn import Message, Role, TextPart
from lmos_grpc.errors import AgentStreamBrokenError
from lmos_grpc.wire.framed_event import frame_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lmos_grpc.domain.conversation import TurnRecord


@dataclass(frozen=True, slots=True)
class Rest:
    """How a broken turn ended, and the events that it still needs so that its followers see the end."""

    outcome: Outcome
    responses: tuple[Message, ...]
    state: ConversationState
    missing: tuple[AgentEvent, ...] = ()


def end_of_broken_turn(events: Sequence[AgentEvent], before: ConversationState) -> Rest:
    """The end of a turn whose process died: what it said is kept, and its followers are told. `events` is not empty."""
    last = events[-1]
    texts: dict[Source, list[str]] = {}
    messages: dict[Source, Message] = {}
    question: OpenQuestion | None = None
    for event in events:
        match event.body:
            case TextDelta(text):
                texts.setdefault(event.source, []).append(text)
            case MessageDone(message):
                messages[event.source] = message
            case Clarification():
                question = OpenQuestion(event.body, event.source.agent, event.source.capability)
    spoken = {
        source: Message(Role.AGENT, (TextPart("".join(pieces)),), source.agent, last.turn_id)
        for source, pieces in texts.items()
    }
    answers = {**spoken, **messages}
    agents = [source for source in answers if source.agent]
    speaker = agents[-1] if agents else Source(before.last_agent, capability=before.last_capability)
    state = ConversationState(speaker.agent, speaker.capability, question)
    if isinstance(last.body, TurnDone):
        return Rest(last.body.outcome, tuple(answers.values()), state)
    return Rest(Outcome.FAILED, tuple(answers.values()), state, _closing(last))


def _closing(last: AgentEvent) -> tuple[AgentEvent, AgentEvent]:
    error = AgentStreamBrokenError("the mesh restarted while the turn ran; send it again with a new turn id")
    return (
        AgentEvent(last.sequence + 1, last.turn_id, Failure(error.detail)),
        AgentEvent(last.sequence + 2, last.turn_id, TurnDone(Outcome.FAILED)),
    )


def events_of(record: TurnRecord) -> tuple[tuple[int, list[bytes]], ...]:
    """The events that can be told from a recorded turn, those with dense numbers together with the first number.

    The pieces of the answer were not kept: the gap in the numbers tells so, and each message repeats its text.
    The last event has the number that the caller saw last.
    """
    said = [(MessageDone(each), Source(each.agent)) for each in record.responses]
    last = max(record.last_sequence, len(said) + 2)
    first, turn_id = last - len(said), record.key.turn_id
    messages = [AgentEvent(first + place, turn_id, body, source) for place, (body, source) in enumerate(said)]
    end = AgentEvent(last, turn_id, TurnDone(record.outcome or Outcome.COMPLETED))
    begin = AgentEvent(1, turn_id, Accepted(record.key.conversation_id))
    return (1, [frame_of(begin)]), (first, [frame_of(each) for each in (*messages, end)])


def state_after_record(before: ConversationState, record: TurnRecord) -> ConversationState:
    """What routing has to know after a turn that was run elsewhere."""
    agent = next((each.agent for each in reversed(record.responses) if each.agent), before.last_agent)
    capability = record.capability or (before.last_capability if agent == before.last_agent else "")
    return replace(before, last_agent=agent, last_capability=capability, open_question=None)


def messages_of(turns: Iterable[TurnRecord], limit: int) -> tuple[Message, ...]:
    """The last messages of these turns, in their order."""
    said = [message for turn in turns for message in _messages(turn)]
    return tuple(said[-limit:]) if limit > 0 else ()


def _messages(turn: TurnRecord) -> tuple[Message, ...]:
    turn_id = turn.key.turn_id
    asked = replace(turn.request, turn_id=turn_id, created_at=turn.request.created_at or turn.created_at)
    answers = (
        replace(each, turn_id=turn_id, created_at=each.created_at or turn.ended_at)
        for each in turn.responses
        if not each.empty
    )
    return (*(() if asked.empty else (asked,)), *answers)
