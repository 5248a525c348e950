"""What a ranking leads to, with scores that are told and with real ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.domain.decision import DecisionMode
from lmos_grpc.domain.instance import Instance, InstancePut, Lease, Load, RegistryUpdate
from lmos_grpc.domain.turn import DataPart, Message, Role, RouteHint, Strategy, StrategyKind, TurnRequest
from lmos_grpc.routing import Router, RoutingSettings
from tests.fakes.scripted_classifier import ScriptedClassifier
from tests.fakes.telecom_desk import (
    BILLING,
    CARDS,
    FAULTS,
    HELD_OUT,
    ONE_INTENT_WITH_AND,
    OUT_OF_SCOPE,
    TWO_INTENTS,
    desk,
)

if TYPE_CHECKING:
    from lmos_grpc.domain.decision import Decision

ROUTER = Router(desk(*CARDS))


def turn(text: str, kind: StrategyKind = StrategyKind.UNSPECIFIED, max_branches: int = 8) -> TurnRequest:
    return TurnRequest(Message.from_user(text), hint=RouteHint(strategy=Strategy(kind, max_branches=max_branches)))


def decide(scores: dict[str, float], *, kind: StrategyKind = StrategyKind.UNSPECIFIED, **settings: str) -> Decision:
    router = Router(desk(*CARDS), ScriptedClassifier({"say": scores}), RoutingSettings(**settings))  # type: ignore[arg-type]  # fallback only
    return router.decide(turn("say", kind))


def capabilities(decision: Decision) -> list[str]:
    return [each.capability for each in decision.targets]


def test_a_clear_winner_gets_the_turn_and_the_reason_tells_the_next() -> None:
    decision = decide({"explain-bill": 0.91, "compare-tariffs": 0.4})
    assert decision.mode is DecisionMode.CLASSIFIED
    assert decision.strategy.kind is StrategyKind.ONE
    assert decision.classifier == "scripted"
    assert decision.reason == (
        "'explain-bill' of billing-agent scored 0.91, the next, 'compare-tariffs' of contract-agent, 0.40"
    )
    best = decision.candidates[0]
    assert (best.capability, best.score, best.chosen) == ("explain-bill", 0.91, True)
    assert [each.chosen for each in decision.candidates[1:]] == [False] * (len(decision.candidates) - 1)


def test_a_close_call_between_agents_is_asked_back_with_its_options() -> None:
    decision = decide({"explain-bill": 0.7, "repair-line": 0.66, "track-order": 0.2})
    assert decision.mode is DecisionMode.CLARIFICATION
    assert decision.targets == ()
    assert [each.capability for each in decision.candidates if each.chosen] == ["explain-bill", "repair-line"]
    assert decision.reason.startswith("a close call, so the caller is asked: 'explain-bill' of billing-agent")


def test_a_close_call_within_one_agent_is_the_agents_to_tell() -> None:
    decision = decide({"explain-bill": 0.7, "manage-payment": 0.69})
    assert capabilities(decision) == ["explain-bill"]


def test_nothing_that_fits_goes_to_the_fallback() -> None:
    decision = decide({"explain-bill": 0.49}, fallback_agent="concierge-agent")
    assert decision.mode is DecisionMode.FALLBACK
    assert [each.agent for each in decision.targets] == ["concierge-agent"]
    assert "nothing fits: 'explain-bill' of billing-agent scored 0.49, and 0.50 is needed" in decision.reason


def test_without_a_fallback_the_mesh_abstains() -> None:
    decision = decide({})
    assert decision.mode is DecisionMode.ABSTAINED
    assert decision.targets == ()


def test_a_fallback_that_is_not_there_is_no_fallback() -> None:
    decision = decide({}, fallback_agent="nobody")
    assert decision.mode is DecisionMode.ABSTAINED
    assert "the fallback of the mesh may not or cannot take the turn" in decision.reason


def test_a_message_without_text_goes_to_the_fallback() -> None:
    router = Router(desk(*CARDS), settings=RoutingSettings(fallback_agent="concierge-agent"))
    decision = router.decide(TurnRequest(Message(Role.USER, (DataPart({"order": 1}),))))
    assert decision.mode is DecisionMode.FALLBACK
    assert decision.reason.startswith("there is no text to go by")


def test_an_empty_mesh_abstains() -> None:
    decision = Router(desk()).decide(turn("hello"))
    assert decision.mode is DecisionMode.ABSTAINED
    assert "no agent is ready for the tenant 'default' on the channel 'web'" in decision.reason


SPREAD = [StrategyKind.ALL, StrategyKind.FIRST, StrategyKind.QUORUM, StrategyKind.BEST]


@pytest.mark.parametrize("kind", SPREAD)
def test_who_wants_several_gets_the_best_capability_of_every_agent_that_fits(kind: StrategyKind) -> None:
    decision = decide({"explain-bill": 0.8, "manage-payment": 0.75, "repair-line": 0.6, "track-order": 0.4}, kind=kind)
    assert capabilities(decision) == ["explain-bill", "repair-line"]
    assert decision.strategy.kind is kind


def test_no_more_branches_than_the_caller_allows() -> None:
    router = Router(desk(*CARDS), ScriptedClassifier({"say": {"explain-bill": 0.8, "repair-line": 0.7}}))
    assert capabilities(router.decide(turn("say", StrategyKind.FIRST, max_branches=1))) == ["explain-bill"]


def test_who_is_adequate_stands_by_for_a_hedge_and_does_not_begin() -> None:
    router = Router(desk(*CARDS), ScriptedClassifier({"say": {"explain-bill": 0.9, "repair-line": 0.6}}))
    hedged = Strategy(hedge_delay=timedelta(seconds=1))
    decision = router.decide(TurnRequest(Message.from_user("say"), hint=RouteHint(strategy=hedged)))
    assert decision.strategy == replace(hedged, kind=StrategyKind.ONE)
    assert capabilities(decision) == ["explain-bill", "repair-line"]
    assert [each.capability for each in decision.beginning] == ["explain-bill"]
    assert "where it is slow or fails: 'repair-line' of fault-agent scored 0.60" in decision.reason


def test_a_close_call_is_asked_back_with_a_hedge_too() -> None:
    router = Router(desk(*CARDS), ScriptedClassifier({"say": {"explain-bill": 0.7, "repair-line": 0.66}}))
    hedged = Strategy(StrategyKind.ONE, hedge_delay=timedelta(seconds=1))
    decision = router.decide(TurnRequest(Message.from_user("say"), hint=RouteHint(strategy=hedged)))
    assert decision.mode is DecisionMode.CLARIFICATION


def test_where_a_text_holds_several_requests_nobody_stands_by() -> None:
    hedged = Strategy(hedge_delay=timedelta(seconds=1))
    text, expected = TWO_INTENTS[0]
    decision = ROUTER.decide(TurnRequest(Message.from_user(text), hint=RouteHint(strategy=hedged)))
    assert decision.strategy == Strategy(StrategyKind.ALL)
    assert len(decision.beginning) == len(expected)


def test_a_decision_tells_the_time_it_took() -> None:
    ticks = count(0, 0.5)
    decision = Router(desk(*CARDS), ScriptedClassifier(), clock=lambda: next(ticks)).decide(turn("say"))
    assert decision.elapsed == timedelta(seconds=0.5)


@pytest.mark.parametrize(("text", "expected"), TWO_INTENTS)
def test_two_intents_go_to_two_agents_each_with_its_part(text: str, expected: tuple[str, ...]) -> None:
    decision = ROUTER.decide(turn(text))
    assert decision.strategy.kind is StrategyKind.ALL
    assert tuple(capabilities(decision)) == expected
    assert all(each.text and each.text in text for each in decision.targets)
    assert decision.reason.startswith("the text holds 2 requests")


@pytest.mark.parametrize("text", ONE_INTENT_WITH_AND)
def test_one_intent_is_not_split_by_an_and_in_it(text: str) -> None:
    decision = ROUTER.decide(turn(text))
    assert len(decision.targets) == 1
    assert decision.targets[0].text == ""


def test_who_wants_one_agent_gets_one_whatever_the_text_holds() -> None:
    decision = ROUTER.decide(turn("why is my bill so high this month and also is my internet down", StrategyKind.ONE))
    assert len(decision.targets) <= 1


def test_more_intents_than_branches_are_not_split() -> None:
    decision = ROUTER.decide(turn(TWO_INTENTS[0][0], max_branches=1))
    assert len(decision.targets) <= 1


def test_a_very_long_text_is_not_split() -> None:
    text = f"{TWO_INTENTS[0][0]} {'please ' * 1_000}"
    assert all(not each.text for each in ROUTER.decide(turn(text)).targets)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("text", [" " * 200_000, "and " * 100_000, ", and also" * 50_000, ". " * 100_000])
def test_a_text_made_to_be_slow_is_not(text: str) -> None:
    ROUTER.decide(turn(text))


def test_paraphrases_reach_their_agent() -> None:
    agents = {capability.id: card.name for card in CARDS for capability in card.capabilities}
    router = Router(desk(*CARDS), settings=RoutingSettings(fallback_agent="concierge-agent"))
    reached = [
        text
        for text, expected in HELD_OUT
        if [each.agent for each in router.decide(turn(text)).targets] == [agents[expected]]
    ]
    assert len(reached) >= 0.9 * len(HELD_OUT)


def test_out_of_scope_is_declined() -> None:
    declined = [text for text in OUT_OF_SCOPE if ROUTER.decide(turn(text)).mode is DecisionMode.ABSTAINED]
    assert len(declined) >= len(OUT_OF_SCOPE) - 1


def test_the_same_turn_is_decided_the_same_by_another_router() -> None:
    other = Router(desk(*reversed(CARDS)))
    for text, _ in (*HELD_OUT, *TWO_INTENTS):
        one, two = ROUTER.decide(turn(text)), other.decide(turn(text))
        assert replace(one, elapsed=timedelta()) == replace(two, elapsed=timedelta())


def test_a_change_of_load_costs_the_classifier_nothing() -> None:
    view, classifier = desk(BILLING), CountingClassifier()
    Router(view, classifier)
    [known] = view.agents[BILLING.key].instances
    view.apply(RegistryUpdate(2, "", InstancePut(replace(known, load=Load(active_turns=3)))))
    assert classifier.syncs == 1
    view.apply(RegistryUpdate(3, "", InstancePut(Instance("f", "127.0.0.1:2", FAULTS, Lease("f", 1)))))
    assert classifier.syncs == 2


class CountingClassifier(ScriptedClassifier):
    syncs = 0

    def sync(self, changed: object) -> None:
        self.syncs += 1
        super().sync(changed)  # type: ignore[arg-type]  # handed on as it came
