"""Where a text is cut into requests, with scores that are told and with those of a small desk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lmos_grpc.domain.turn import Message, TurnRequest
from lmos_grpc.routing import Offer, Router, Score
from lmos_grpc.routing.intent_split import split_intents
from lmos_grpc.routing.joints import points_back, spoken_cuts, unspoken_cuts
from lmos_grpc.routing.ranking import Ranking
from tests.fakes.telecom_desk import CARDS, desk

if TYPE_CHECKING:
    from collections.abc import Mapping

ROUTER = Router(desk(*CARDS))

ONE, OTHER = "why is my bill so high", "where is my parcel"
KNOWN_JOINTS = (
    *(
        " and ",
        ", and ",
        ", and also ",
        " and also ",
        ". ",
        "? ",
        "; then ",
        "\n",
        " plus ",
        " oh and ",
        " by the way ",
    ),
    *(" after that ", " but first ", " und ", " und dann ", ". Außerdem ", " übrigens ", ", ", " "),
)


def ranking(scores: Mapping[str, float]) -> Ranking:
    """From scores by `agent/capability`."""
    found = []
    for name, value in scores.items():
        agent, capability = name.split("/")
        found.append(Score(Offer(agent, capability, "1.0.0", "stable"), value))
    return Ranking(tuple(sorted(found, key=lambda each: -each.value)))


class Ranker:
    """Ranks parts as it is told; what it was not told is about nothing."""

    def __init__(self, told: Mapping[str, Mapping[str, float]]) -> None:
        self._told = told
        self.asked: list[str] = []

    def __call__(self, text: str) -> Ranking:
        self.asked.append(text)
        return ranking(self._told.get(text, {"nobody/nothing": 0.05}))


def parts(text: str, whole: float, told: Mapping[str, Mapping[str, float]]) -> list[str]:
    return [each.text for each in split_intents(text, ranking({"bills/explain": whole}), Ranker(told))]


BILL = {"bills/explain": 0.95}
PARCEL = {"orders/track": 0.95}
TWO = f"{ONE} and {OTHER}"


def test_parts_that_are_surer_than_the_whole_are_two_requests() -> None:
    assert parts(TWO, 0.8, {ONE: BILL, OTHER: PARCEL}) == [ONE, OTHER]


def test_a_whole_that_is_as_sure_as_its_parts_together_is_one_request() -> None:
    assert parts(TWO, 0.999, {ONE: BILL, OTHER: PARCEL}) == []


def test_a_close_call_in_a_part_does_not_keep_two_requests_together() -> None:
    close = {"orders/track": 0.9, "bills/explain": 0.89}
    assert parts(TWO, 0.8, {ONE: BILL, OTHER: close}) == [ONE, OTHER]


@pytest.mark.parametrize("value", [0.05, 0.39])
def test_a_part_that_is_hardly_about_anything_is_no_request_however_sure_the_other_is(value: float) -> None:
    assert parts(TWO, 0.05, {ONE: {"bills/explain": 0.9999}, OTHER: {"orders/track": value}}) == []


@pytest.mark.parametrize(
    ("joint", "whole"), [(" and also ", 0.99), (" and ", 0.97), (". ", 0.97), (", ", 0.75), (" ", 0.75)]
)
def test_the_less_is_said_between_two_requests_the_surer_they_have_to_be(joint: str, whole: float) -> None:
    told = {ONE: BILL, f"{ONE}.": BILL, OTHER: PARCEL}
    assert parts(f"{ONE}{joint}{OTHER}", whole, told) == [f"{ONE}{joint}".rstrip() if joint == ". " else ONE, OTHER]
    assert parts(f"{ONE}{joint}{OTHER}", 1 - (1 - whole) / 4, told) == []


@pytest.mark.parametrize("second", ["track it", "what has happened to it", "cancel", "tell me why"])
def test_what_is_short_or_points_back_belongs_to_what_came_before_unless_it_is_much_surer(second: str) -> None:
    text, other = f"{ONE} and {second}", f"{ONE} and {OTHER}"
    assert parts(text, 0.97, {ONE: BILL, second: PARCEL}) == []
    assert parts(other, 0.97, {ONE: BILL, OTHER: PARCEL}) == [ONE, OTHER]
    assert parts(text, 0.7, {ONE: BILL, second: {"orders/track": 0.999}}) == [ONE, second]


def test_numbers_are_no_request() -> None:
    assert parts(f"{ONE} and 15", 0.5, {ONE: BILL, "15": PARCEL}) == []


def test_two_requests_to_one_agent_are_two_only_where_both_are_clear() -> None:
    payment = {"bills/pay": 0.95}
    assert parts(TWO, 0.8, {ONE: BILL, OTHER: payment}) == [ONE, OTHER]
    assert parts(TWO, 0.8, {ONE: BILL, OTHER: payment | {"bills/explain": 0.94}}) == []
    assert parts(TWO, 0.8, {ONE: BILL, OTHER: BILL}) == []


THIRD = "my internet is down"
THREE = f"{ONE} and {OTHER} and {THIRD}"


def test_three_requests_are_found_in_their_order() -> None:
    assert parts(THREE, 0.6, {ONE: BILL, OTHER: PARCEL, THIRD: {"faults/repair": 0.99}}) == [ONE, OTHER, THIRD]


def test_an_and_within_one_of_two_requests_does_not_make_them_three() -> None:
    first = f"{ONE} and {OTHER}"
    told = {ONE: BILL, OTHER: {"orders/track": 0.6}, first: {"bills/explain": 0.9}, THIRD: {"faults/repair": 0.99}}
    assert parts(THREE, 0.6, told) == [first, THIRD]


def test_a_sure_text_without_a_joint_is_not_looked_into() -> None:
    ranker = Ranker({})
    split_intents(f"{ONE} {OTHER}", ranking({"bills/explain": 0.999}), ranker)
    assert ranker.asked == []


def test_no_part_is_ranked_twice_and_a_text_full_of_joints_costs_no_more_than_one_with_a_few() -> None:
    text = " and ".join(f"{ONE} {number}, what about {OTHER} {number}" for number in range(20))
    ranker = Ranker({})
    assert split_intents(text, ranking({"bills/explain": 0.1}), ranker) == ()
    assert len(ranker.asked) == len(set(ranker.asked)) <= 18


def test_the_parts_are_in_the_text_however_it_is_spaced() -> None:
    text = f"  {ONE}  and   {OTHER}\n"
    assert parts(text, 0.8, {ONE: BILL, OTHER: PARCEL}) == [ONE, OTHER]


@pytest.mark.parametrize("joint", KNOWN_JOINTS)
def test_two_requests_are_found_whatever_joins_them(joint: str) -> None:
    decision = ROUTER.decide(TurnRequest(Message.from_user(f"my internet is down{joint}where is my parcel")))
    assert [each.capability for each in decision.targets] == ["repair-line", "track-order"]
    assert [each.text for each in decision.targets][1] == "where is my parcel"


@pytest.mark.parametrize(
    "text",
    [
        "my internet is down, can you help me",
        "my bill is too high. I pay 40 euros a month and it says 60.",
        "I lost my parcel, it has not arrived and I do not know why",
        "please cancel my contract and tell me when it ends",
        "what tariffs do you have and what do they cost",
        "hello, where is my parcel",
        "Hello! Where is my parcel?",
        "good morning, my internet is down, thank you very much",
        "Guten Tag, mein Internet geht nicht. Danke!",
        "mein internet geht nicht, was kann ich tun",
        "wann kommt mein paket und wo ist es jetzt",
        "Ich möchte kündigen. Bis wann muss ich das tun?",
    ],
)
def test_one_request_is_one_however_it_is_told(text: str) -> None:
    assert len(ROUTER.decide(TurnRequest(Message.from_user(text))).targets) <= 1


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("a and b", "b"),
        ("a, and also b", "b"),
        ("a. Then b", "b"),
        ("a but first b", "b"),
        ("a oh and by the way, b", "b"),
        ("a b und dann auch c", "c"),
        ("one a, one b", "one b"),
    ],
)
def test_a_joint_is_left_out_of_both_parts(text: str, after: str) -> None:
    [cut] = spoken_cuts(text)
    assert text[cut.end :] == after


@pytest.mark.parametrize("text", ["sandy beaches", "a band b", "a, b", "3.5 percent", "no joint at all"])
def test_a_joint_is_a_word_and_a_comma_stands_between_parts_of_several_words(text: str) -> None:
    assert spoken_cuts(text) == []


def test_where_nothing_is_said_between_two_the_second_begins_as_requests_do() -> None:
    text = "turn on the lights how is the weather"
    [cut] = unspoken_cuts(text)
    assert (text[: cut.start], text[cut.end :]) == ("turn on the lights", "how is the weather")


@pytest.mark.parametrize(
    "text", ["tell me how it works", "do you know what this is", "hello please", "ich weiß nicht wie"]
)
def test_a_sentence_that_goes_on_is_not_cut(text: str) -> None:
    assert unspoken_cuts(text) == []


@pytest.mark.parametrize(
    ("text", "back"),
    [("how do i pay it", True), ("i wonder why", True), ("can you help", True), ("why is it so", True)],
)
def test_pronouns_and_questions_about_nothing_point_back(text: str, *, back: bool) -> None:
    assert points_back(text) is back
    assert not points_back("where is my parcel")
