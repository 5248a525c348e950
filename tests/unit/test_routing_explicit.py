"""Turns that name their agent or capability: the one named, or a typed error."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.clients.live_view import LiveView
from lmos_grpc.domain.card import AgentCard, Capability
from lmos_grpc.domain.decision import DecisionMode
from lmos_grpc.domain.turn import CallContext, Lane, Message, RouteHint, Strategy, StrategyKind, TurnRequest, User
from lmos_grpc.errors import (
    AgentNotAllowedError,
    HandoverLoopError,
    InvalidVersionError,
    MeshStartingError,
    NoHealthyInstanceError,
    UnknownAgentError,
    UnknownCapabilityError,
)
from lmos_grpc.routing import Router
from tests.fakes.telecom_desk import BILLING, CONTRACTS, FAULTS, desk

if TYPE_CHECKING:
    from lmos_grpc.errors import (
        LmosError,
    )


def named(agent: str = "", capability: str = "", version_range: str = "", **context: object) -> TurnRequest:
    hint = RouteHint(agent, capability, version_range)
    return TurnRequest(Message.from_user("hello"), hint=hint, context=CallContext(**context))  # type: ignore[arg-type]  # its fields


def offering(name: str, *, capability_version: str = "1.0.0", **fields: object) -> AgentCard:
    return replace(
        AgentCard(name, "1.0.0", capabilities=(Capability("explain-bill", capability_version),)),
        **fields,  # type: ignore[arg-type]  # fields of the card
    )


def routes(cards: tuple[AgentCard, ...], turn: TurnRequest) -> list[str]:
    return [f"{each.key.route}#{each.capability}" for each in Router(desk(*cards)).decide(turn).targets]


def test_a_named_agent_gets_the_turn_whatever_the_text_says() -> None:
    decision = Router(desk(BILLING, FAULTS)).decide(named("fault-agent"))
    assert decision.mode is DecisionMode.EXPLICIT
    assert [each.agent for each in decision.targets] == ["fault-agent"]
    assert decision.reason == "the caller named the agent 'fault-agent'"
    assert decision.candidates[0].chosen


def test_a_named_capability_leads_to_the_agent_that_offers_it() -> None:
    turn = named(capability="repair-line")
    assert routes((BILLING, FAULTS), turn) == ["fault-agent/1.0.0/stable#repair-line"]


def test_the_highest_version_of_the_capability_wins() -> None:
    cards = (offering("a-agent", capability_version="1.9.0"), offering("b-agent", capability_version="1.10.0"))
    assert routes(cards, named(capability="explain-bill")) == ["b-agent/1.0.0/stable#explain-bill"]


def test_the_range_is_about_the_capability_where_one_is_named() -> None:
    cards = (offering("a-agent", capability_version="1.9.0"), offering("b-agent", capability_version="2.0.0"))
    turn = named(capability="explain-bill", version_range="1.x || >=2.5.0")
    assert routes(cards, turn) == ["a-agent/1.0.0/stable#explain-bill"]


def test_the_range_is_about_the_agent_where_only_it_is_named() -> None:
    cards = tuple(replace(BILLING, version=each) for each in ("1.2.3", "1.2.9", "1.3.0"))
    assert routes(cards, named("billing-agent", version_range="~1.2.0")) == ["billing-agent/1.2.9/stable#"]


def test_who_speaks_the_language_comes_before_who_has_the_higher_version() -> None:
    cards = (offering("a-agent", locales=("de",)), offering("b-agent", capability_version="3.0.0", locales=("en",)))
    turn = replace(named(capability="explain-bill"), user=User(locale="de-DE"))
    assert routes(cards, turn) == ["a-agent/1.0.0/stable#explain-bill"]


def test_all_with_the_named_capability_get_the_turn_when_all_are_wanted() -> None:
    cards = tuple(offering(f"{each}-agent") for each in "abc")
    turn = named(capability="explain-bill")
    hint = replace(turn.hint, strategy=Strategy(StrategyKind.ALL, max_branches=2))
    decision = Router(desk(*cards)).decide(replace(turn, hint=hint))
    assert len(decision.targets) == 2
    assert decision.strategy == Strategy(StrategyKind.ALL, max_branches=2)


@pytest.mark.parametrize(
    ("turn", "error", "says"),
    [
        (named("nobody"), UnknownAgentError, "no agent 'nobody' is registered"),
        (named("billing-agent", version_range="^2.0.0"), UnknownAgentError, "not in the version range"),
        (named(capability="fly"), UnknownCapabilityError, "no agent offers the capability 'fly'"),
        (named("fault-agent", "explain-bill"), UnknownCapabilityError, "'fault-agent' does not offer"),
        (named(capability="explain-bill", version_range=">=9"), UnknownCapabilityError, "not in the version range"),
        (named("billing-agent", version_range="not a range"), InvalidVersionError, "not an npm-style version range"),
        (named(version_range="^^1"), InvalidVersionError, "not an npm-style version range"),
        (named("contract-agent"), AgentNotAllowedError, "does not serve the channel 'web'"),
        (named("contract-agent", channel="ivr", tenant="x"), UnknownAgentError, "no agent 'contract-agent' is reg"),
        (named("canary-agent"), AgentNotAllowedError, "of the subset 'canary', not 'stable'"),
        (named("billing-agent", visited=("billing-agent",)), HandoverLoopError, "it had this turn before"),
        (named("fault-agent"), NoHealthyInstanceError, "no instance of it is ready"),
        (named(capability="repair-line"), NoHealthyInstanceError, "no instance of it is ready"),
    ],
)
def test_what_cannot_be_had_is_a_typed_error(turn: TurnRequest, error: type[LmosError], says: str) -> None:
    contracts = replace(CONTRACTS, channels=frozenset({"ivr"}), tenants=frozenset({"default"}))
    view = desk(BILLING, FAULTS, contracts, offering("canary-agent", subset="canary"), draining=("fault-agent",))
    with pytest.raises(error, match=says):
        Router(view).decide(turn)


def test_an_agent_without_a_ready_instance_may_be_tried_again() -> None:
    with pytest.raises(NoHealthyInstanceError) as caught:
        Router(desk(FAULTS, draining=("fault-agent",))).decide(named("fault-agent"))
    assert caught.value.retry_after is not None
    assert caught.value.metadata["agent"] == "fault-agent"


def test_until_the_registry_was_read_the_mesh_is_starting() -> None:
    with pytest.raises(MeshStartingError):
        Router(LiveView()).decide(named("billing-agent"))


def test_with_a_hedge_the_others_of_a_capability_stand_by_and_a_named_agent_stands_alone() -> None:
    router = Router(desk(*(offering(f"{each}-agent") for each in "abc")))
    strategy = Strategy(StrategyKind.ONE, hedge_delay=timedelta(seconds=1), max_branches=2)
    decision = router.decide(replace(named(), hint=RouteHint(capability="explain-bill", strategy=strategy)))
    assert len(decision.targets) == 2
    assert decision.beginning == decision.targets[:1]
    assert decision.strategy == strategy
    decision = router.decide(replace(named(), hint=RouteHint("b-agent", strategy=strategy)))
    assert [each.agent for each in decision.targets] == ["b-agent"]


def test_who_asks_for_the_express_lane_is_given_the_managed_one_and_told() -> None:
    turn = replace(named(), hint=RouteHint("billing-agent", lane=Lane.EXPRESS))
    router = Router(desk(BILLING))
    decision = router.decide(turn)
    told = router.lane(turn, decision).told_in(decision)
    assert told.lane is Lane.MANAGED
    assert "the express lane is not open" in told.reason
