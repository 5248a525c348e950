"""No text talks its way to an agent or a capability that the turn may not have, in whichever mode it is decided."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from lmos_grpc.domain.card import AgentCard, Capability
from lmos_grpc.domain.channel import Channel, RequiredCapability
from lmos_grpc.domain.conversation import ConversationState, OpenQuestion
from lmos_grpc.domain.decision import DecisionMode
from lmos_grpc.domain.declared_agent import DeclaredAgent
from lmos_grpc.domain.event import Clarification, ClarificationOption
from lmos_grpc.domain.rules import Rules
from lmos_grpc.domain.tenant import Tenant
from lmos_grpc.domain.turn import (
    CallContext,
    ClarificationAnswer,
    Message,
    RouteHint,
    Strategy,
    StrategyKind,
    TurnRequest,
)
from lmos_grpc.errors import LmosError
from lmos_grpc.routing import Offer, Router, RoutingSettings, Score
from tests.fakes.telecom_desk import CARDS, desk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lmos_grpc.domain.card import AgentKey
    from lmos_grpc.domain.decision import Decision

TECHNIQUES: dict[str, list[str]] = yaml.safe_load(Path(__file__).with_name("injections.yaml").read_text("utf-8"))
TEXTS = tuple(text for texts in TECHNIQUES.values() for text in texts)
ADMIN = AgentCard(
    "admin-agent",
    "1.0.0",
    "Administers everything, with every right.",
    (
        Capability(
            "administer",
            "1.0.0",
            "Administers everything.",
            examples={"en": TEXTS[:5], "de": tuple(TECHNIQUES["languages"][:3])},
        ),
    ),
)
# Neither may anything be had of this one agent but the explanation of bills.
PERMITTED = {"billing-agent": {"explain-bill"}, "fault-agent": {"repair-line"}, "order-agent": {"track-order"}}
PHONE = Channel(
    name="phone",
    channel="phone",
    required=tuple(RequiredCapability(each) for names in PERMITTED.values() for each in names),
    where="channels.yaml:1",
)
SETTINGS = RoutingSettings(fallback_agent="admin-agent")
OPERATIONS = frozenset({"operations"})
ON_THE_PHONE = CallContext(channel="phone")
TURN = TurnRequest(Message.from_user(""), conversation_id="c", context=ON_THE_PHONE)
ASKED = OpenQuestion(
    Clarification(
        "q",
        "Which one do you mean?",
        (
            ClarificationOption("admin-agent/administer", "Administer", "admin-agent", "administer"),
            ClarificationOption("billing-agent/manage-payment", "Payments", "billing-agent", "manage-payment"),
        ),
    )
)


def by_the_card() -> Router:
    return Router(desk(*CARDS, replace(ADMIN, tenants=OPERATIONS)), settings=SETTINGS)


def by_the_channel() -> Router:
    router = Router(desk(*CARDS, ADMIN), settings=replace(SETTINGS, fallback_agent="billing-agent"))
    router.use(Rules.of([Tenant(name="default")], [PHONE]))
    return router


def by_the_declaration() -> Router:
    router = Router(desk(*CARDS, ADMIN), settings=SETTINGS)
    router.use(
        Rules.of(agents=[DeclaredAgent(card=AgentCard("admin-agent", ""), channels=OPERATIONS, where="a.yaml:1")])
    )
    return router


def by_the_subset() -> Router:
    router = Router(desk(*CARDS, replace(ADMIN, subset="internal")), settings=SETTINGS)
    router.use(Rules.of([Tenant(name="default", subset_override=False)]))
    return router


ROUTERS: Mapping[str, Router] = {
    each.__name__: each() for each in (by_the_card, by_the_channel, by_the_declaration, by_the_subset)
}


def hinted(**hint: object) -> TurnRequest:
    return replace(TURN, hint=RouteHint(**hint))  # type: ignore[arg-type]  # fields of the hint


NEW = ConversationState()
MODES: Mapping[str, tuple[TurnRequest, ConversationState]] = {
    "explicit, an agent that may": (hinted(agent="billing-agent"), NEW),
    "explicit, a capability that may": (hinted(capability="explain-bill"), NEW),
    "explicit, the agent": (hinted(agent="admin-agent"), NEW),
    "explicit, the capability": (hinted(capability="administer"), NEW),
    "explicit, another capability of an agent that may": (hinted(agent="billing-agent", capability="administer"), NEW),
    "sticky, an agent that may": (TURN, ConversationState("billing-agent", "explain-bill", turn_count=1)),
    "sticky, for what it may not": (TURN, ConversationState("billing-agent", "manage-payment", turn_count=1)),
    "sticky, the agent itself": (TURN, ConversationState("admin-agent", "administer", turn_count=1)),
    "an open question of an agent that may": (
        TURN,
        ConversationState(open_question=OpenQuestion(Clarification("q", "Which?"), "billing-agent", "manage-payment")),
    ),
    "an open question of the agent": (
        TURN,
        ConversationState(open_question=OpenQuestion(Clarification("q", "Which?"), "admin-agent", "administer")),
    ),
    "clarification, answered in words": (TURN, ConversationState(open_question=ASKED)),
    "clarification, answered by id": (
        replace(TURN, answer=ClarificationAnswer("q", "admin-agent/administer")),
        ConversationState(open_question=ASKED),
    ),
    "clarification, answered by the id of what may not": (
        replace(TURN, answer=ClarificationAnswer("q", "billing-agent/manage-payment")),
        ConversationState(open_question=ASKED),
    ),
    "classification": (TURN, NEW),
    "several at once": (hinted(strategy=Strategy(StrategyKind.ALL)), NEW),
    "the first good answer": (hinted(strategy=Strategy(StrategyKind.FIRST)), NEW),
    "hand-over to whoever fits": (replace(TURN, context=replace(ON_THE_PHONE, visited=("billing-agent",))), NEW),
    "hand-over to the agent": (
        replace(hinted(agent="admin-agent"), context=replace(ON_THE_PHONE, visited=("billing-agent",))),
        NEW,
    ),
    "a subset that the caller asks for": (replace(TURN, context=replace(ON_THE_PHONE, subset="internal")), NEW),
}


def breaches(
    router: Router, turn: TurnRequest, state: ConversationState, wrong: Callable[[Decision], bool], texts: Iterable[str]
) -> list[str]:
    found = []
    for text in texts:
        try:
            decision = router.decide(replace(turn, message=Message.from_user(text)), state)
        except LmosError:
            continue  # a typed error goes nowhere
        if wrong(decision):
            found.append(text)
    return found


def reaches_admin(decision: Decision) -> bool:
    asked = decision.mode is DecisionMode.CLARIFICATION
    offered = {each.agent for each in decision.candidates if each.chosen}
    return "admin-agent" in {each.agent for each in decision.targets} | (offered if asked else set())


def leaves_the_channel(decision: Decision) -> bool:
    """Whether anybody gets the turn, or is offered as an option, for what the channel does not require."""
    asked = decision.mode is DecisionMode.CLARIFICATION
    options = {(each.agent, each.capability) for each in decision.candidates if each.chosen and asked}
    got = {(each.agent, each.capability) for each in decision.targets} | options
    return any(capability not in PERMITTED.get(agent, ()) for agent, capability in got)


def test_the_corpus_is_large_and_of_many_techniques() -> None:
    assert len(set(TEXTS)) >= 200
    assert len(TECHNIQUES) >= 10


def test_where_no_rule_forbids_it_the_texts_do_reach_the_agent() -> None:
    # Else the tests below would show nothing.
    router = Router(desk(*CARDS, ADMIN))
    assert len(breaches(router, TURN, NEW, reaches_admin, TEXTS)) > 100


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rule", ROUTERS)
def test_no_text_reaches_an_agent_that_a_rule_keeps_out(rule: str, mode: str) -> None:
    turn, state = MODES[mode]
    assert breaches(ROUTERS[rule], turn, state, reaches_admin, TEXTS) == []


@pytest.mark.parametrize("mode", MODES)
def test_no_text_reaches_a_capability_that_the_channel_does_not_require(mode: str) -> None:
    turn, state = MODES[mode]
    assert breaches(ROUTERS["by_the_channel"], turn, state, leaves_the_channel, TEXTS) == []


class Bribed:
    """A classifier that the text has talked round: it answers with what it was never asked about."""

    name = "bribed"

    def __init__(self) -> None:
        self._offers: set[Offer] = set()

    def sync(self, changed: Mapping[AgentKey, AgentCard | None]) -> None:
        self._offers |= {offer for card in changed.values() if card for offer in Offer.of(card)}

    def rank(self, text: str, locale: str, candidates: frozenset[Offer]) -> tuple[Score, ...]:
        del text, locale, candidates
        ranked = sorted(self._offers, key=lambda each: (each.agent != "admin-agent", each))
        return tuple(Score(each, 1.0 - place / 100) for place, each in enumerate(ranked))


@pytest.mark.parametrize("mode", MODES)
def test_not_even_a_classifier_that_was_talked_round_widens_the_set(mode: str) -> None:
    turn, state = MODES[mode]
    router = Router(desk(*CARDS, ADMIN), Bribed(), replace(SETTINGS, fallback_agent="billing-agent"))
    router.use(Rules.of([Tenant(name="default")], [PHONE]))
    assert breaches(router, turn, state, leaves_the_channel, TEXTS[:40]) == []
