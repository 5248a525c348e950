"""The small parts of a call: keys, clauses, spoken text, the playlist, one voice for several agents, timers."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.channels.speech.pcm import FRAME_BYTES
from lmos_grpc.channels.speech.phrase_grammar import jsgf, speakable, words_of
from lmos_grpc.channels.voice.answer import Answer
from lmos_grpc.channels.voice.call_timers import CallTimers, Timer
from lmos_grpc.channels.voice.clauses import ClauseSplitter
from lmos_grpc.channels.voice.keypad import Keypad
from lmos_grpc.channels.voice.playlist import EndMark, Piece, Playlist
from lmos_grpc.channels.voice.spoken_text import spoken_text
from lmos_grpc.domain.event import (
    AgentEvent,
    Clarification,
    ClarificationOption,
    MessageDone,
    Outcome,
    Source,
    TextDelta,
    TurnDone,
)
from lmos_grpc.domain.live_session import DtmfEnd, DtmfSpec, KeysPressed, Prompt
from lmos_grpc.domain.turn import Message, Role, TextPart

if TYPE_CHECKING:
    from lmos_grpc.domain.event import (
        EventBody,
    )


def pressed(digits: str, end: DtmfEnd, *, sensitive: bool = False) -> KeysPressed:
    return KeysPressed(digits, complete=True, end=end, sensitive=sensitive)


def test_keys_are_complete_by_their_number() -> None:
    keypad = Keypad(DtmfSpec(length=3))
    assert [keypad.press(key, 0) for key in "123"] == [None, None, pressed("123", DtmfEnd.LENGTH)]


def test_keys_are_complete_by_the_key_that_ends_them_which_is_no_part_of_them() -> None:
    keypad = Keypad(DtmfSpec(terminator="#"))
    assert [keypad.press(key, 0) for key in "12#"] == [None, None, pressed("12", DtmfEnd.TERMINATOR)]
    assert keypad.press("#", 0) is None


def test_keys_are_complete_when_no_other_comes_in_time() -> None:
    keypad = Keypad(DtmfSpec(inter_digit_timeout=timedelta(seconds=2)), sensitive=True)
    keypad.press("7", 10)
    assert keypad.overdue(11.9) is None
    assert keypad.overdue(12) == pressed("7", DtmfEnd.TIMEOUT, sensitive=True)
    assert keypad.overdue(99) is None


def test_what_is_no_key_is_ignored() -> None:
    assert Keypad(DtmfSpec(length=1)).press("x", 0) is None


def test_keys_do_not_show_in_a_representation() -> None:
    assert "4711" not in repr(KeysPressed("4711"))


def clauses(*texts: str) -> list[str]:
    splitter = ClauseSplitter()
    return [each for text in texts for each in splitter.feed(text)] + [splitter.rest()]


def test_sentences_are_cut_once_it_is_certain_that_they_are_over() -> None:
    assert clauses("Hello there", ". How are", " you?") == ["Hello there.", "How are you?"]


def test_only_the_first_cut_is_within_a_sentence() -> None:
    text = "I looked at it, and it is well, as far as I see. That is good, really."
    assert clauses(text)[:2] == ["I looked at it,", "and it is well, as far as I see."]


def test_a_first_sentence_is_cut_before_a_conjunction() -> None:
    text = "I have looked at your contract and at your last bills."
    assert clauses(text) == ["I have looked at your contract", "and at your last bills."]


def test_a_first_sentence_without_end_is_cut_between_words() -> None:
    first = clauses("one two three four five six seven eight nine ten eleven twelve thirteen")[0]
    assert first == "one two three four five six seven eight nine ten eleven twelve"


@pytest.mark.parametrize(
    "text", ["Dr. Becker is here.", "That is €1,000.50 a year.", "On 3. März you come.", "z.B. so"]
)
def test_numbers_and_abbreviations_are_not_torn_apart(text: str) -> None:
    assert clauses(text + " ")[0] == text


def test_lines_of_a_list_are_clauses() -> None:
    assert clauses("Bills\n- one\n- two\n")[:3] == ["Bills", "- one", "- two"]


@pytest.mark.parametrize(
    ("text", "locale", "spoken"),
    [
        ("It is **€1,081.86** now", "en", "It is 1081 euros 86 now"),
        ("Das sind 1.081,86 €", "de-DE", "Das sind 1081 Euro 86"),
        ("- Order B-4001 🎉", "en", "Order B 4 0 0 1"),
        ("See [our page](https://example.com/x).", "en", "See our page."),
        ("the signal is -28 dBm", "en", "the signal is minus 28 dBm"),
        ("🎉", "en", ""),
    ],
)
def test_text_is_spoken_without_what_is_only_for_eyes(text: str, locale: str, spoken: str) -> None:
    assert spoken_text(text, locale) == spoken


def piece(text: str, frames: int, turn: str = "t", *, interruptible: bool = True) -> Piece:
    return Piece(turn, text, b"\x01" * FRAME_BYTES * frames, interruptible)


def playlist(*items: Piece | EndMark) -> Playlist:
    made = Playlist(lambda _: None)
    for each in items:
        made.add(each)
    return made


def test_a_playlist_plays_piece_after_piece_and_then_nothing() -> None:
    playing = playlist(piece("a", 1), piece("b", 2))
    assert [bool(playing.next_frame()) for _ in range(4)] == [True, True, True, False]


def test_an_end_mark_is_reached_when_the_last_frame_before_it_was_played() -> None:
    reached: list[int] = []
    playing = playlist(piece("a", 2), EndMark("t", lambda: reached.append(1)))
    playing.next_frame()
    assert not reached
    playing.next_frame()
    assert reached == [1]


def test_what_was_heard_of_a_piece_are_its_words_by_their_share() -> None:
    playing = playlist(piece("All of this.", 2), piece("one two three four", 4))
    for _ in range(4):
        playing.next_frame()
    heard = playing.clear()
    assert (heard.turn_id, heard.text, heard.played) == ("t", "All of this. one two", timedelta(milliseconds=80))
    assert playing.next_frame() is None


def test_a_new_turn_begins_to_be_heard_from_nothing() -> None:
    playing = playlist(piece("old", 1, "t1"), piece("new", 1, "t2"))
    playing.next_frame()
    playing.next_frame()
    assert playing.heard().text == "new"


def test_a_playlist_that_pauses_goes_on_where_it_was() -> None:
    playing = playlist(piece("a b", 2))
    playing.next_frame()
    playing.paused = True
    assert playing.next_frame() is None
    playing.paused = False
    assert playing.next_frame()


def test_it_may_not_be_interrupted_while_something_is_left_that_must_be_heard() -> None:
    assert not playlist(piece("a", 1), piece("legal", 1, interruptible=False)).interruptible
    assert playlist(piece("a", 1)).interruptible


def spoken(*events: tuple[Source, EventBody]) -> list[str]:
    answer = Answer("t")
    return [clause.text for source, body in events for clause in answer.take(AgentEvent(0, "t", body, source))]


ONE, TWO = Source("one", branch=1), Source("two", branch=2)
DONE = (Source(), TurnDone(Outcome.COMPLETED))


def test_two_agents_that_speak_at_once_are_heard_one_after_the_other() -> None:
    events = [(ONE, "From one: "), (TWO, "From two: yes. "), (ONE, "it is. "), (TWO, "And more."), (ONE, "Really.")]
    assert spoken(*((source, TextDelta(text)) for source, text in events), DONE) == [
        "From one: it is.",
        "Really.",
        "From two: yes.",
        "And more.",
    ]


def test_a_message_that_repeats_its_deltas_is_said_once_and_one_without_is_said() -> None:
    message = MessageDone(Message(Role.AGENT, (TextPart("Hello there."),)))
    assert spoken((ONE, TextDelta("Hello there.")), (ONE, message), DONE) == ["Hello there."]
    assert spoken((ONE, message), DONE) == ["Hello there."]


def test_a_question_is_said_with_its_options() -> None:
    asked = Clarification(
        "q", "Which one?", (ClarificationOption("a", "The router"), ClarificationOption("b", "Phone"))
    )
    assert spoken((ONE, TextDelta("So. ")), (ONE, asked), DONE) == ["So.", "Which one?", "The router.", "Phone."]


def test_a_prompt_in_ssml_is_said_without_its_tags() -> None:
    prompt = Prompt("<speak>Hello <break/>you</speak>", ssml=True, interruptible=False)
    assert spoken((ONE, prompt), DONE) == ["Hello you"]


def test_timers_run_out_once_and_not_when_stopped() -> None:
    timers = CallTimers()
    timers.start(Timer.FILLER, 0, timedelta(seconds=1))
    timers.start(Timer.TURN, 0, timedelta(seconds=2))
    timers.start(Timer.NO_INPUT, 0, timedelta(seconds=1))
    timers.stop(Timer.NO_INPUT)
    assert list(timers.due(0.5)) == []
    assert list(timers.due(1)) == [Timer.FILLER]
    assert list(timers.due(3)) == [Timer.TURN]


def test_a_grammar_holds_the_phrases_whose_words_the_recogniser_knows() -> None:
    spoken_words = speakable(["Is my bill paid?", "I don't know", "over 5 euros", "qzx it"], lambda word: word != "qzx")
    assert spoken_words == {"is my bill paid": "Is my bill paid?", "i don't know": "I don't know"}
    assert "public <phrase> = i don't know | is my bill paid;" in jsgf(spoken_words)


def test_words_are_lower_case_and_without_marks() -> None:
    assert words_of("Thanks, bye — really!") == ("thanks", "bye", "really")
