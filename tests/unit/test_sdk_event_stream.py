"""What a reader of events notices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lmos_grpc.domain.event import (
    Accepted,
    AgentEvent,
    Failure,
    MessageDone,
    Outcome,
    Source,
    TextDelta,
    TurnDone,
)
from lmos_grpc.domain.turn import Message, Role, TextPart
from lmos_grpc.errors import (
    AgentFailedError,
    AgentStreamBrokenError,
    CallCancelledError,
    QuotaExceededError,
    UnreachableError,
)
from lmos_grpc.sdk.event_stream import Answer, unbroken

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lmos_grpc.domain.event import EventBody

DONE = TurnDone(Outcome.COMPLETED)


def event(sequence: int, body: EventBody, source: Source | None = None) -> AgentEvent:
    return AgentEvent(sequence, "t", body, source or Source())


async def stream(*events: AgentEvent, error: Exception | None = None) -> AsyncGenerator[AgentEvent, None]:
    for each in events:
        yield each
    if error:
        raise error


async def test_events_in_order_come_through_and_nothing_after_the_end() -> None:
    events = (event(1, Accepted()), event(2, TextDelta("a")), event(3, DONE), event(4, TextDelta("late")))
    assert [each async for each in unbroken(stream(*events))] == list(events[:3])


@pytest.mark.parametrize("numbers", [(2,), (1, 3), (1, 1), (1, 2, 1)])
async def test_a_number_that_is_not_the_next_one_is_an_error(numbers: tuple[int, ...]) -> None:
    events = (event(number, TextDelta("x")) for number in numbers)
    with pytest.raises(AgentStreamBrokenError, match="lost"):
        _ = [each async for each in unbroken(stream(*events))]


async def test_a_stream_that_ends_before_its_turn_is_broken() -> None:
    with pytest.raises(AgentStreamBrokenError, match="ended after event 1"):
        _ = [each async for each in unbroken(stream(event(1, Accepted())))]


async def test_a_call_that_fails_before_its_first_event_keeps_its_error() -> None:
    with pytest.raises(UnreachableError):
        _ = [each async for each in unbroken(stream(error=UnreachableError("away")))]


async def test_a_call_that_fails_later_is_a_broken_stream() -> None:
    with pytest.raises(AgentStreamBrokenError, match="after event 1"):
        _ = [each async for each in unbroken(stream(event(1, Accepted()), error=UnreachableError("away")))]


def said(text: str) -> MessageDone:
    return MessageDone(Message(Role.AGENT, (TextPart(text),)))


def test_a_message_that_repeats_its_deltas_is_not_said_twice() -> None:
    answer = Answer()
    assert [answer.take(event(1, body)) for body in (TextDelta("a"), TextDelta("b"), said("ab"), said("c"))] == [
        "a",
        "b",
        "",
        "c",
    ]
    assert answer.text == "abc"


def test_messages_of_several_sources_are_kept_apart() -> None:
    answer, one, two = Answer(), Source("one", branch=1), Source("two", branch=2)
    for body, source in ((TextDelta("a"), one), (said("x"), two), (said("a"), one)):
        answer.take(event(1, body, source))
    assert answer.text == "a\n\nx"


def test_only_a_turn_that_failed_raises() -> None:
    failure = Failure(QuotaExceededError("used up").detail)
    for outcome in (Outcome.PARTIAL, Outcome.COMPLETED, Outcome.INPUT_REQUIRED, Outcome.ABSTAINED):
        answer = Answer()
        answer.take(event(1, failure))
        answer.take(event(2, TurnDone(outcome)))
        answer.raise_if_failed()


@pytest.mark.parametrize(
    ("bodies", "expected"),
    [
        ((Failure(QuotaExceededError("used up").detail), TurnDone(Outcome.FAILED)), QuotaExceededError),
        ((TurnDone(Outcome.FAILED),), AgentFailedError),
        ((TurnDone(Outcome.CANCELLED),), CallCancelledError),
    ],
)
def test_a_turn_that_failed_raises_what_fits(bodies: tuple[EventBody, ...], expected: type[Exception]) -> None:
    answer = Answer()
    for body in bodies:
        answer.take(event(1, body))
    with pytest.raises(expected):
        answer.raise_if_failed()
