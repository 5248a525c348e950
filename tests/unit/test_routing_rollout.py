"""Conversations are shared out by weight, each stays where it is, and moving weights moves only as many as it says."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.domain.channel import Channel
from lmos_grpc.domain.rules import Rules
from lmos_grpc.domain.turn import CallContext, Message, RouteHint, TurnRequest
from lmos_grpc.routing import Router
from lmos_grpc.routing.rollout import drawn_subset
from tests.fakes.telecom_desk import BILLING, FAULTS, desk

if TYPE_CHECKING:
    from collections.abc import Mapping

# Of forms that ids have in the field: counted, random-looking, long with a common beginning.
CONVERSATIONS = tuple(
    (f"c-{number}", f"{number * 2654435761 % 2**32:08x}-{number}", f"tenant/web/{'0' * 40}/{number}")[number % 3]
    for number in range(10_000)
)


def drawn(weights: Mapping[str, int], channel: str = "web") -> list[str]:
    return [drawn_subset(weights, channel=channel, conversation_id=each) for each in CONVERSATIONS]


def deviation(share: float) -> float:
    """Four standard deviations of the count of a binomial distribution."""
    return 4 * math.sqrt(len(CONVERSATIONS) * share * (1 - share))


@pytest.mark.parametrize(
    "weights",
    [
        {"stable": 90, "canary": 10},
        {"stable": 99, "canary": 1},
        {"stable": 1, "canary": 1},
        {"stable": 700, "canary": 200, "beta": 100},
        {"stable": 1, "a": 1, "b": 1, "c": 1, "d": 1},
    ],
)
def test_ten_thousand_conversations_fall_as_the_weights_say(weights: dict[str, int]) -> None:
    counts, total = Counter(drawn(weights)), sum(weights.values())
    for subset, weight in weights.items():
        share = weight / total
        assert abs(counts[subset] - share * len(CONVERSATIONS)) < deviation(share)


def test_a_conversation_falls_the_same_way_every_time_whatever_the_order_of_the_weights() -> None:
    assert drawn({"stable": 90, "canary": 10}) == drawn({"canary": 10, "stable": 90})


def test_only_the_share_that_is_moved_moves_and_only_to_where_it_was_moved() -> None:
    before, after = drawn({"stable": 90, "canary": 10}), drawn({"stable": 75, "canary": 25})
    moved = [(one, two) for one, two in zip(before, after, strict=True) if one != two]
    assert set(moved) == {("stable", "canary")}
    assert abs(len(moved) - 0.15 * len(CONVERSATIONS)) < deviation(0.15)


def test_with_three_subsets_nobody_moves_to_one_whose_share_shrinks() -> None:
    before = drawn({"stable": 80, "canary": 10, "beta": 10})
    after = drawn({"stable": 70, "canary": 20, "beta": 10})
    moved = Counter((one, two) for one, two in zip(before, after, strict=True) if one != two)
    assert not any(two == "stable" for _, two in moved)
    assert moved["stable", "canary"] > 800


def test_a_weight_of_nothing_takes_nobody_and_a_whole_one_everybody() -> None:
    assert set(drawn({"stable": 100, "canary": 0})) == {"stable"}
    assert set(drawn({"stable": 0, "canary": 1})) == {"canary"}


def test_two_channels_do_not_send_the_same_conversations_to_the_canary() -> None:
    weights = {"stable": 90, "canary": 10}
    both = sum(one == two == "canary" for one, two in zip(drawn(weights, "web"), drawn(weights, "ivr"), strict=True))
    assert abs(both - 0.01 * len(CONVERSATIONS)) < deviation(0.01)


def test_the_router_sends_each_turn_of_a_conversation_to_its_subset_in_every_mode() -> None:
    router = Router(desk(BILLING, replace(BILLING, version="1.1.0", subset="canary"), FAULTS))
    router.use(Rules.of(channels=[Channel(name="web", channel="web", weights={"stable": 50, "canary": 50})]))
    subsets = set()
    for number in range(40):
        turn = TurnRequest(Message.from_user("why is my bill so high"), conversation_id=f"c{number}")
        named = replace(turn, hint=RouteHint("billing-agent"))
        handed = replace(turn, context=CallContext(visited=("fault-agent",)))
        got = {router.decide(each).targets[0].subset for each in (turn, named, handed, turn)}
        assert len(got) == 1
        subsets |= got
    assert subsets == {"stable", "canary"}
