"""Which lane a turn takes, and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from lmos_grpc.domain.card import AgentCard
from lmos_grpc.domain.conversation import ConversationState
from lmos_grpc.domain.decision import Decision, DecisionMode, Target
from lmos_grpc.domain.live_session import LiveTurn
from lmos_grpc.domain.turn import ClarificationAnswer, Lane, Message, RouteHint, Strategy, StrategyKind, TurnRequest
from lmos_grpc.routing.lane import choose_lane, choose_session_lane
from lmos_grpc.routing.settings import ExpressLane

CARD = AgentCard("billing-agent", "1.0.0")
HOLDS = replace(CARD, converses=True)
BILLING = Target("billing-agent", "1.0.0", capability="explain-bill")
ORDERS = Target("orders-agent", "1.0.0")
DECISION = Decision(DecisionMode.CLASSIFIED, "it fits", (BILLING,))
TURN = TurnRequest(Message.from_user("why is my bill so high"), conversation_id="c", turn_id="t")
NEW, TALKED = ConversationState(), ConversationState("billing-agent", "explain-bill", None, 1)


def lane(
    *,
    turn: TurnRequest = TURN,
    decision: Decision = DECISION,
    state: ConversationState = NEW,
    card: AgentCard | None = CARD,
    opened: ExpressLane = ExpressLane.ON,
    asked: Lane = Lane.UNSPECIFIED,
) -> tuple[Lane, str]:
    choice = choose_lane(replace(turn, hint=RouteHint(lane=asked)), decision, state, card, opened)
    return choice.lane, choice.reason


@pytest.mark.parametrize(
    "mode", [DecisionMode.EXPLICIT, DecisionMode.CLASSIFIED, DecisionMode.CONVERSATION, DecisionMode.FALLBACK]
)
@pytest.mark.parametrize("kind", [StrategyKind.ONE, StrategyKind.UNSPECIFIED])
def test_a_turn_of_one_agent_takes_the_express_lane(mode: DecisionMode, kind: StrategyKind) -> None:
    assert lane(decision=replace(DECISION, mode=mode, strategy=Strategy(kind)))[0] is Lane.EXPRESS


HEDGED = Strategy(StrategyKind.ONE, hedge_delay=timedelta(seconds=1))


@pytest.mark.parametrize(
    ("decision", "why"),
    [
        (replace(DECISION, targets=(BILLING, ORDERS)), "several agents"),
        (replace(DECISION, strategy=Strategy(StrategyKind.FIRST)), "several agents"),
        (replace(DECISION, strategy=Strategy(StrategyKind.ALL)), "several agents"),
        (replace(DECISION, strategy=Strategy(branch_budget=timedelta(seconds=1))), "the time"),
        (replace(DECISION, strategy=Strategy(turn_budget=timedelta(seconds=1))), "the time"),
        (replace(DECISION, targets=(BILLING, ORDERS), strategy=HEDGED), "another agent steps in"),
        (Decision(DecisionMode.CLARIFICATION, "", ()), "answers itself"),
        (Decision(DecisionMode.ABSTAINED, "", ()), "answers itself"),
        (replace(DECISION, answer=ClarificationAnswer("q")), "which question"),
        (replace(DECISION, targets=(replace(BILLING, text="a part"),)), "a part of the message"),
    ],
)
def test_what_the_mesh_has_to_do_with_a_turn_keeps_it_on_the_managed_lane(decision: Decision, why: str) -> None:
    for asked in (Lane.UNSPECIFIED, Lane.EXPRESS):
        taken, reason = lane(decision=decision, asked=asked)
        assert taken is Lane.MANAGED
        assert why in reason


def test_what_is_sensitive_or_live_takes_the_managed_lane_even_where_the_express_one_is_asked_for() -> None:
    for turn, why in ((replace(TURN, sensitive=True), "sensitive"), (replace(TURN, live=LiveTurn("s")), "live")):
        taken, reason = lane(turn=turn, asked=Lane.EXPRESS)
        assert taken is Lane.MANAGED
        assert why in reason


def test_an_agent_that_may_hand_over_or_is_gone_is_reached_on_the_managed_lane() -> None:
    assert lane(card=replace(CARD, may_hand_over=True)) == (Lane.MANAGED, "billing-agent may hand over")
    assert lane(card=None) == (Lane.MANAGED, "billing-agent is gone")


@pytest.mark.parametrize("turn", [replace(TURN, turn_id=""), replace(TURN, conversation_id="")])
def test_a_turn_without_its_ids_takes_the_managed_lane(turn: TurnRequest) -> None:
    assert lane(turn=turn, asked=Lane.EXPRESS)[0] is Lane.MANAGED


def test_a_history_that_only_the_mesh_has_is_given_to_the_agent_on_the_managed_lane() -> None:
    sent = replace(TURN, history=(Message.from_user("hello"),))
    assert lane(state=TALKED)[0] is Lane.MANAGED
    assert lane(state=TALKED, turn=sent)[0] is Lane.EXPRESS
    assert lane(state=TALKED, asked=Lane.EXPRESS)[0] is Lane.EXPRESS


@pytest.mark.parametrize(
    ("opened", "asked", "taken"),
    [
        (ExpressLane.OFF, Lane.EXPRESS, Lane.MANAGED),
        (ExpressLane.OFF, Lane.UNSPECIFIED, Lane.MANAGED),
        (ExpressLane.ASKED, Lane.UNSPECIFIED, Lane.MANAGED),
        (ExpressLane.ASKED, Lane.EXPRESS, Lane.EXPRESS),
        (ExpressLane.ASKED, Lane.MANAGED, Lane.MANAGED),
        (ExpressLane.ON, Lane.UNSPECIFIED, Lane.EXPRESS),
        (ExpressLane.ON, Lane.MANAGED, Lane.MANAGED),
    ],
)
def test_the_operator_opens_the_lane_and_the_caller_may_refuse_it(
    opened: ExpressLane, asked: Lane, taken: Lane
) -> None:
    assert lane(opened=opened, asked=asked)[0] is taken


def test_a_mesh_without_the_lane_says_nothing_of_it_unless_asked() -> None:
    assert choose_lane(TURN, DECISION, NEW, CARD, ExpressLane.OFF).told_in(DECISION) == DECISION


@pytest.mark.parametrize(
    ("card", "decision", "opened", "why"),
    [
        (HOLDS, DECISION, ExpressLane.OFF, "not open"),
        (CARD, DECISION, ExpressLane.ON, "billing-agent holds no live sessions itself"),
        (replace(HOLDS, may_hand_over=True), DECISION, ExpressLane.ON, "billing-agent may hand over"),
        (None, DECISION, ExpressLane.ON, "not for one agent that is there"),
        (HOLDS, replace(DECISION, targets=()), ExpressLane.ON, "not for one agent that is there"),
        (HOLDS, replace(DECISION, strategy=Strategy(branch_budget=timedelta(seconds=1))), ExpressLane.ON, "the time"),
    ],
)
def test_a_session_that_its_agent_cannot_hold_alone_is_the_orchestrators(
    card: AgentCard | None, decision: Decision, opened: ExpressLane, why: str
) -> None:
    choice = choose_session_lane(decision, card, opened)
    assert choice.lane is Lane.MANAGED
    assert why in choice.reason


@pytest.mark.parametrize("opened", [ExpressLane.ASKED, ExpressLane.ON])
def test_a_session_of_one_agent_that_holds_it_takes_the_express_lane(opened: ExpressLane) -> None:
    assert choose_session_lane(DECISION, HOLDS, opened).lane is Lane.EXPRESS
