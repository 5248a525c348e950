"""The sample agents describe themselves so that routing can tell them apart."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from agents.billing.agent import agent as billing
from agents.concierge.agent import agent as concierge
from agents.contracts.agent import agent as contracts
from agents.fault_repair.agent import agent as fault_repair
from agents.orders.agent import agent as orders
from agents.telco_data import language_of
from lmos_grpc.declarations import read_rules
from lmos_grpc.domain.card import card_violations
from lmos_grpc.domain.event import Outcome
from lmos_grpc.domain.turn import CallContext, Message, TurnRequest, User
from lmos_grpc.routing import Router
from tests.fakes.registry import FakeRegistry, instance

if TYPE_CHECKING:
    from lmos_grpc import Agent

AGENTS = (billing, contracts, fault_repair, orders, concierge)
CAPABILITIES = [capability for agent in AGENTS for capability in agent.card.capabilities]
SAMPLES = Path(__file__).resolve().parents[2] / "agents"
REQUESTS: list[dict[str, Any]] = yaml.safe_load((SAMPLES / "demo_requests.yaml").read_text(encoding="utf-8"))[
    "requests"
]


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_every_card_keeps_the_rules(agent: Agent) -> None:
    assert card_violations(agent.card) == ()
    assert agent.card.locales == ("en", "de")
    assert all(capability.description for capability in agent.card.capabilities)


def test_every_capability_has_eight_to_twelve_phrases_in_each_language() -> None:
    counts = {(each.id, locale): len(each.examples[locale]) for each in CAPABILITIES for locale in ("en", "de")}
    assert {key: count for key, count in counts.items() if not 8 <= count <= 12} == {}


def test_no_phrase_stands_for_two_things() -> None:
    every = Counter(phrase.lower() for each in CAPABILITIES for said in each.examples.values() for phrase in said)
    assert [phrase for phrase, count in every.items() if count > 1] == []


def test_phrases_are_answered_in_their_own_language() -> None:
    told_wrong = [
        phrase
        for each in CAPABILITIES
        for locale, phrases in each.examples.items()
        for phrase in phrases
        if language_of(phrase, locale) != locale
    ]
    assert told_wrong == []


def test_only_contracts_hands_over_and_to_a_capability_that_is_there() -> None:
    assert [agent.name for agent in AGENTS if agent.card.may_hand_over] == ["contracts-agent"]
    assert "check-line" in {each.id for each in CAPABILITIES}


def test_the_demo_expects_agents_and_outcomes_that_exist() -> None:
    for request in REQUESTS:
        assert {*request["expect_agents"]} <= {agent.name for agent in AGENTS}, request["title"]
        assert request["expect_outcome"] in Outcome.__members__, request["title"]


def test_every_agent_has_a_part_in_the_demo() -> None:
    assert {name for request in REQUESTS for name in request["expect_agents"]} == {agent.name for agent in AGENTS}


def test_the_demo_has_no_field_that_its_head_does_not_explain() -> None:
    fields = set().union(*REQUESTS)
    assert fields <= {
        *("title", "text", "locale", "user", "channel", "conversation", "answer_option"),
        *("cancel_after_events", "expect_agents", "expect_outcome"),
    }


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request["title"])
def test_the_router_finds_who_the_demo_expects(request_: dict[str, Any]) -> None:
    registry = FakeRegistry(*(replace(instance(agent.name, agent.name), card=agent.card) for agent in AGENTS))
    user = User("C-1001", request_.get("locale", "en"))
    router = Router(registry.view)
    router.use(read_rules([SAMPLES / "mesh.d"]).sound_rules())
    context = CallContext(channel=request_.get("channel", "web"))
    decision = router.decide(TurnRequest(Message.from_user(request_["text"]), user=user, context=context))
    found = [target.agent for target in decision.targets]
    # Whom contracts hands over to is not the router's decision.
    expected = request_["expect_agents"]
    assert found == (expected[:1] if expected[:1] == [contracts.name] else expected)
