"""What the history keeps of an answer that was not heard to its end, and of what must not be kept."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lmos_grpc.domain.heard import as_heard
from lmos_grpc.domain.live_session import HeardAnswer, LiveTurn
from lmos_grpc.domain.sensitive import WITHHELD, masked, masked_messages, turn_to_keep
from lmos_grpc.domain.turn import DataPart, Message, Role, TextPart, TurnRequest


def said(text: str, agent: str = "a") -> Message:
    return Message(Role.AGENT, (TextPart(text),), agent)


TWO = (said("one  two.\nThree"), said("four five", "b"))


@pytest.mark.parametrize(
    ("heard", "kept"),
    [
        ("", []),
        ("one", [("one", True)]),
        ("ONE, two", [("one  two.", True)]),
        ("one two three", [("one  two.\nThree", False)]),
        ("one two three four", [("one  two.\nThree", False), ("four", True)]),
        ("one two three four five six", [("one  two.\nThree", False), ("four five", False)]),
    ],
)
def test_of_an_answer_as_many_words_are_kept_as_were_heard(heard: str, kept: list[tuple[str, bool]]) -> None:
    answer = HeardAnswer("t", heard, interrupted=True, played=timedelta(0))
    assert [(each.text, each.interrupted) for each in as_heard(TWO, answer)] == kept


def test_an_answer_of_which_only_the_length_was_heard_stays_and_is_marked() -> None:
    for played in (None, timedelta(seconds=1)):
        found = as_heard(TWO, HeardAnswer("t", interrupted=True, played=played))
        assert [each.text for each in found] == [each.text for each in TWO]
        assert all(each.interrupted for each in found)


def test_an_answer_that_was_heard_in_full_stays_as_it_is() -> None:
    assert as_heard(TWO, HeardAnswer("t", "whatever")) == TWO


def test_digits_and_the_words_of_a_secret_are_masked() -> None:
    assert masked("Your card 4929-81 and SWORDFISH it is", "swordfish 4929") == "Your card ••••-•• and ••••••••• it is"
    [found] = masked_messages((Message(Role.AGENT, (TextPart("no 4711"), DataPart({"n": "4711"}))),), "")
    assert found.parts == (TextPart("no ••••"),)


def test_a_sensitive_turn_is_kept_without_what_it_says() -> None:
    turn = TurnRequest(Message.from_user("4711"), live=LiveTurn("s"), sensitive=True)
    kept = turn_to_keep(turn)
    assert (kept.message.text, kept.live) == (WITHHELD, None)
    plain = TurnRequest(Message.from_user("4711"))
    assert turn_to_keep(plain) is plain
