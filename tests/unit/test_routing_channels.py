"""What the rules of tenants and channels make of a turn; the cases of the Eclipse LMOS operator are among them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmos_grpc.clients.live_view import LiveView
from lmos_grpc.domain.card import AgentCard, Capability
from lmos_grpc.domain.channel import Channel, RequiredCapability, Thresholds, VersionPick
from lmos_grpc.domain.conversation import ConversationState
from lmos_grpc.domain.decision import DecisionMode, Exclusion
from lmos_grpc.domain.declared_agent import DeclaredAgent
from lmos_grpc.domain.rules import Rules
from lmos_grpc.domain.tenant import Tenant
from lmos_grpc.domain.turn import CallContext, Lane, Message, RouteHint, Strategy, StrategyKind, TurnRequest, User
from lmos_grpc.domain.version_range import VersionRange
from lmos_grpc.errors import (
    AgentNotAllowedError,
    ChannelNotAllowedError,
    ChannelUnresolvedError,
    HandoverLimitError,
    LmosError,
    MeshStartingError,
    TenantNotAllowedError,
)
from lmos_grpc.routing import ExpressLane, Router, RoutingSettings
from tests.fakes.scripted_classifier import ScriptedClassifier
from tests.fakes.telecom_desk import BILLING, CARDS, CONCIERGE, CONTRACTS, FAULTS, desk, snapshot

if TYPE_CHECKING:
    from lmos_grpc.domain.decision import Decision

BILL = "why is my bill so high"


def offering(name: str, version: str, *, agent_version: str = "1.0.0", **fields: Any) -> AgentCard:  # Any: its fields
    """An agent that explains bills, in this version of the capability."""
    capability = Capability("explain-bill", version, "Explains a bill.", examples={"en": (BILL,)})
    return AgentCard(name, agent_version, capabilities=(capability,), **fields)


def requiring(versions: str = "", pick: VersionPick = VersionPick.HIGHEST, **fields: Any) -> Rules:  # Any: its fields
    """A channel `web` that requires explain-bill."""
    wish = RequiredCapability("explain-bill", VersionRange(versions), pick)
    channel = Channel(name="acme-web", channel="web", required=(wish,), where="channels.yaml:1", **fields)
    return Rules.of(channels=[channel])


def ask(text: str = BILL, **context: Any) -> TurnRequest:  # Any: its fields
    return TurnRequest(Message.from_user(text), conversation_id="c-1", context=CallContext(**context))


def router_of(rules: Rules, *cards: AgentCard, **settings: Any) -> Router:  # Any: fields of the settings
    router = Router(desk(*cards), settings=RoutingSettings(**settings))
    router.use(rules)
    return router


def chosen(decision: Decision) -> list[str]:
    return [f"{each.key.route}#{each.capability}" for each in decision.targets]


def routed(rules: Rules, *cards: AgentCard, **context: Any) -> list[str]:  # Any: fields of the context
    return chosen(router_of(rules, *cards).decide(ask(**context)))


def unresolved(rules: Rules, *cards: AgentCard) -> tuple[str, ...]:
    governance = router_of(rules, *cards).decide(ask()).governance
    assert governance is not None
    return governance.unresolved


# The cases of the operator's own tests.


def test_same_version_found() -> None:
    assert routed(requiring("1.0.0"), offering("a-agent", "1.0.0")) == ["a-agent/1.0.0/stable#explain-bill"]


def test_higher_version_found() -> None:
    assert routed(requiring(">=1.0.0"), offering("a-agent", "1.1.0")) == ["a-agent/1.0.0/stable#explain-bill"]


def test_lower_version_not_found() -> None:
    assert unresolved(requiring(">=1.1.0"), offering("a-agent", "1.0.0")) == (
        "explain-bill >=1.1.0: a-agent offers 1.0.0",
    )


def test_the_highest_version_is_wired() -> None:
    cards = (offering("a-agent", "1.9.0"), offering("b-agent", "1.10.0"), offering("c-agent", "1.2.0"))
    assert routed(requiring(">=1.0.0"), *cards) == ["b-agent/1.0.0/stable#explain-bill"]


@pytest.mark.parametrize(
    ("versions", "agent"),
    [(">=1.0.0", "a-agent"), (">=1.2.0", "b-agent"), ("^1.0.0 || ^3.0.0", "a-agent"), ("", "d-agent")],
)
def test_the_most_similar_version_is_wired(versions: str, agent: str) -> None:
    offered = zip(("a-agent", "b-agent", "c-agent", "d-agent"), ("1.1.0", "1.3.0", "2.0.0", "3.0.0"), strict=True)
    rules = requiring(versions, VersionPick.MOST_SIMILAR)
    assert routed(rules, *(offering(*each) for each in offered)) == [f"{agent}/1.0.0/stable#explain-bill"]


def test_a_channel_is_unresolved_when_the_capabilities_do_not_match() -> None:
    assert unresolved(requiring(), FAULTS) == ("explain-bill: no agent offers it",)


def test_a_channel_is_unresolved_when_the_tenant_does_not_match() -> None:
    router = router_of(requiring(), offering("a-agent", "1.0.0", tenants=frozenset({"other"})))
    governances = [router.decide(ask(operator=operator)).governance for operator in (False, True)]
    assert [each.unresolved for each in governances if each] == [
        ("explain-bill: no agent offers it",),
        ("explain-bill: a-agent offers 1.0.0, and it does not serve the tenant 'default'",),
    ]


def test_a_channel_is_resolved_again_when_an_agent_is_added_later_removed_and_updated() -> None:
    view = desk(FAULTS)
    router = Router(view)
    router.use(requiring(">=1.1.0", strict=True))
    resolved = []
    for cards in (
        (),
        (offering("a-agent", "1.1.0"),),
        (),
        (offering("a-agent", "1.0.0"),),
        (offering("a-agent", "1.2.0"),),
    ):
        view.apply(snapshot(FAULTS, *cards))
        try:
            resolved.append(bool(router.decide(ask()).targets))
        except ChannelUnresolvedError:
            resolved.append(False)
    assert resolved == [False, True, False, False, True]


def test_the_routing_is_updated_on_a_new_capability_version() -> None:
    view = desk(offering("a-agent", "1.0.0"))
    router = Router(view)
    router.use(requiring("^1.0.0"))
    assert chosen(router.decide(ask())) == ["a-agent/1.0.0/stable#explain-bill"]
    view.apply(snapshot(offering("a-agent", "1.0.0"), offering("a-agent", "1.1.0", agent_version="1.1.0")))
    assert chosen(router.decide(ask())) == ["a-agent/1.1.0/stable#explain-bill"]


def test_the_subset_from_the_channel_is_used() -> None:
    cards = (offering("a-agent", "1.0.0"), offering("a-agent", "1.0.0", subset="canary"))
    assert routed(requiring(subset="canary"), *cards) == ["a-agent/1.0.0/canary#explain-bill"]


def test_a_different_subset_does_not_override_that_of_the_conversation() -> None:
    rules = requiring(weights={"stable": 0, "canary": 1})
    closed = replace(rules, tenants={"default": Tenant(name="default")})
    open_to_it = replace(rules, tenants={"default": Tenant(name="default", subset_override=True)})
    cards = (offering("a-agent", "1.0.0"), offering("a-agent", "1.0.0", subset="canary"))
    decision = router_of(closed, *cards).decide(ask(subset="stable"))
    assert chosen(decision) == ["a-agent/1.0.0/canary#explain-bill"]
    assert decision.reason.endswith("the tenant default does not let its callers choose the subset 'stable'")
    assert routed(open_to_it, *cards, subset="stable") == ["a-agent/1.0.0/stable#explain-bill"]


def test_that_the_registry_was_not_read_is_passed_on() -> None:
    router = Router(LiveView())
    router.use(requiring())
    with pytest.raises(MeshStartingError):
        router.decide(ask())


def test_a_close_call_is_asked_about_and_only_among_what_is_required() -> None:
    classifier = ScriptedClassifier({"say": {"explain-bill": 0.8, "repair-line": 0.75, "track-order": 0.79}})
    router = Router(desk(*CARDS), classifier)
    wishes = (RequiredCapability("explain-bill"), RequiredCapability("repair-line"))
    router.use(Rules.of(channels=[Channel(name="web", channel="web", required=wishes)]))
    decision = router.decide(ask("say"))
    assert decision.mode is DecisionMode.CLARIFICATION
    assert [each.capability for each in decision.candidates if each.chosen] == ["explain-bill", "repair-line"]


def test_an_option_of_a_question_is_offered_once_though_another_version_was_passed_over() -> None:
    classifier = ScriptedClassifier({"say": {"explain-bill": 0.8}})
    router = Router(
        desk(offering("a-agent", "1.0.0"), offering("a-agent", "1.0.0", subset="canary"), offering("b-agent", "1.0.0")),
        classifier,
    )
    router.use(requiring())
    decision = router.decide(ask("say"))
    assert decision.mode is DecisionMode.CLARIFICATION
    assert [(each.agent, each.subset) for each in decision.candidates if each.chosen] == [
        ("a-agent", "stable"),
        ("b-agent", "stable"),
    ]


# Strict and partial.


def test_a_strict_channel_that_lacks_something_is_unusable_in_every_mode_and_says_what_it_lacks() -> None:
    wishes = (RequiredCapability("explain-bill"), RequiredCapability("fly", VersionRange("^2.0.0")))
    channel = Channel(name="acme-web", channel="web", required=wishes, strict=True, where="channels.yaml:7")
    router = router_of(Rules.of(channels=[channel]), BILLING)
    for hint in (RouteHint(), RouteHint("billing-agent"), RouteHint(capability="explain-bill")):
        with pytest.raises(
            ChannelUnresolvedError, match=r"acme-web \(channels\.yaml:7\) is strict.*fly \^2\.0\.0: no agent"
        ):
            router.decide(replace(ask(), hint=hint))
    with pytest.raises(ChannelUnresolvedError) as caught:
        router.decide(ask())
    assert caught.value.metadata == {"channel": "web", "missing": "fly ^2.0.0"}


def test_a_partial_channel_works_with_what_there_is_and_says_what_it_lacks() -> None:
    wishes = (RequiredCapability("explain-bill"), RequiredCapability("fly", VersionRange("^2.0.0")))
    decision = router_of(Rules.of(channels=[Channel(name="w", channel="web", required=wishes)]), BILLING).decide(ask())
    assert chosen(decision) == ["billing-agent/1.0.0/stable#explain-bill"]
    assert decision.governance is not None
    assert decision.governance.unresolved == ("fly ^2.0.0: no agent offers it",)


def test_an_agent_that_drains_does_not_close_a_strict_channel() -> None:
    router = Router(desk(BILLING, FAULTS, draining=("billing-agent",)))
    wishes = (RequiredCapability("explain-bill"), RequiredCapability("repair-line"))
    router.use(Rules.of(channels=[Channel(name="w", channel="web", required=wishes, strict=True)]))
    assert chosen(router.decide(ask("my internet is down"))) == ["fault-agent/1.0.0/stable#repair-line"]


def test_where_a_turn_was_before_does_not_close_a_strict_channel() -> None:
    router = router_of(requiring(strict=True), BILLING, FAULTS)
    decision = router.decide(ask(visited=("billing-agent",)))
    assert decision.mode is DecisionMode.ABSTAINED


# What a channel requires, and of which agent it is had.


def test_what_a_channel_does_not_require_cannot_be_reached_even_by_name() -> None:
    router = router_of(requiring(), *CARDS)
    assert router.decide(ask("I want to cancel my contract")).mode is DecisionMode.ABSTAINED
    with pytest.raises(AgentNotAllowedError, match="the channel acme-web does not require cancel-contract"):
        router.decide(replace(ask(), hint=RouteHint("contract-agent", "cancel-contract")))
    with pytest.raises(AgentNotAllowedError, match="does not require manage-payment"):
        router.decide(replace(ask(), hint=RouteHint("billing-agent", "manage-payment")))


def test_an_agent_that_is_named_without_a_capability_is_told_which_it_may_use() -> None:
    decision = router_of(requiring(), *CARDS).decide(
        replace(ask("set up direct debit"), hint=RouteHint("billing-agent"))
    )
    assert chosen(decision) == ["billing-agent/1.0.0/stable#explain-bill"]
    assert [each.capability for each in decision.candidates if each.chosen] == ["explain-bill"]


def test_a_conversation_does_not_stay_with_a_capability_that_the_channel_does_not_require() -> None:
    state = ConversationState("billing-agent", "manage-payment", turn_count=1)
    decision = router_of(requiring(), *CARDS).decide(ask("yes"), state)
    assert decision.mode is DecisionMode.CONVERSATION
    assert chosen(decision) == ["billing-agent/1.0.0/stable#explain-bill"]


def test_a_capability_is_required_by_its_name_as_well_as_by_its_id() -> None:
    named = replace(BILLING.capabilities[0], name="Bill Explanation")
    rules = Rules.of(channels=[Channel(name="w", channel="web", required=(RequiredCapability("Bill Explanation"),))])
    assert routed(rules, replace(BILLING, capabilities=(named,))) == ["billing-agent/1.0.0/stable#explain-bill"]


def test_agents_that_offer_the_picked_version_are_all_kept_and_the_text_decides() -> None:
    router = router_of(requiring(), offering("a-agent", "1.0.0"), offering("b-agent", "1.0.0"))
    turn = replace(ask(), hint=RouteHint(strategy=Strategy(StrategyKind.ALL)))
    assert {each.agent for each in router.decide(turn).targets} == {"a-agent", "b-agent"}


def test_naming_an_agent_does_not_get_round_the_version_that_is_picked() -> None:
    router = router_of(requiring(), offering("a-agent", "1.0.0"), offering("b-agent", "2.0.0"))
    with pytest.raises(AgentNotAllowedError, match=r"had in version 2\.0\.0, the highest one, not 1\.0\.0"):
        router.decide(replace(ask(), hint=RouteHint("a-agent")))


def test_the_versions_of_one_agent_may_serve_different_capabilities() -> None:
    old, new = (replace(each, version="1.0.0") for each in (BILLING.capabilities[0], FAULTS.capabilities[0]))
    first = replace(BILLING, capabilities=(old, new))
    second = replace(
        BILLING, version="2.0.0", capabilities=tuple(replace(each, version="2.0.0") for each in (old, new))
    )
    wishes = (
        RequiredCapability("explain-bill", VersionRange("^1")),
        RequiredCapability("repair-line", VersionRange("^2")),
    )
    router = router_of(Rules.of(channels=[Channel(name="w", channel="web", required=wishes)]), first, second)
    assert chosen(router.decide(ask())) == ["billing-agent/1.0.0/stable#explain-bill"]
    assert chosen(router.decide(ask("my internet is down"))) == ["billing-agent/2.0.0/stable#repair-line"]


def test_a_canary_that_is_out_of_range_leaves_the_turn_to_the_stable_one() -> None:
    cards = (offering("a-agent", "1.0.0"), offering("a-agent", "2.0.0", agent_version="2.0.0", subset="canary"))
    assert routed(requiring("^1.0.0"), *cards, subset="canary") == ["a-agent/1.0.0/stable#explain-bill"]
    assert routed(requiring(), *cards, subset="canary") == ["a-agent/2.0.0/canary#explain-bill"]


def test_a_channel_of_a_subset_has_requirements_of_its_own() -> None:
    web = Channel(name="web", channel="web", required=(RequiredCapability("explain-bill"),))
    canary = replace(web, name="web-canary", subset="canary", required=(RequiredCapability("repair-line"),))
    router = router_of(Rules.of(channels=[web, canary]), *CARDS)
    assert router.decide(ask("my internet is down")).mode is DecisionMode.ABSTAINED
    decision = router.decide(ask("my internet is down", subset="canary"))
    assert [each.agent for each in decision.targets] == ["fault-agent"]


# Tenants, channels, declared agents.


def test_where_tenants_are_declared_there_are_no_others() -> None:
    router = router_of(Rules.of([Tenant(name="acme")]), *CARDS)
    assert router.decide(ask(tenant="acme")).targets
    with pytest.raises(TenantNotAllowedError, match="no tenant 'default'"):
        router.decide(ask())


def test_a_tenant_uses_the_channels_that_it_may() -> None:
    router = router_of(Rules.of([Tenant(name="default", channels=frozenset({"ivr"}))]), *CARDS)
    assert router.decide(ask(channel="ivr")).targets
    with pytest.raises(ChannelNotAllowedError, match="may not use the channel 'web', only ivr"):
        router.decide(ask())


def test_where_channels_are_declared_there_are_no_others() -> None:
    router = router_of(Rules.of(channels=[Channel(name="w", channel="web", tenants=frozenset({"acme"}))]), *CARDS)
    assert router.decide(ask(tenant="acme")).targets
    for context in ({"tenant": "default"}, {"tenant": "acme", "channel": "ivr"}):
        with pytest.raises(ChannelNotAllowedError):
            router.decide(ask(**context))


def test_what_is_declared_for_a_tenant_goes_before_what_is_for_all_subset_by_subset() -> None:
    everybody = Channel(name="web", channel="web", required=(RequiredCapability("explain-bill"),))
    own = Channel(
        name="acme", channel="web", tenants=frozenset({"acme"}), required=(RequiredCapability("repair-line"),)
    )
    router = router_of(Rules.of(channels=[everybody, own]), *CARDS)
    assert router.terms(ask()).channel == everybody
    assert router.terms(ask(tenant="acme")).channel == own
    router.use(Rules.of(channels=[everybody, replace(own, subset="canary")]))
    assert router.terms(ask(tenant="acme")).channel == everybody
    assert router.terms(ask(tenant="acme", subset="canary")).channel == replace(own, subset="canary")


def test_ids_with_dashes_are_not_taken_for_each_other() -> None:
    rules = Rules.of(channels=[Channel(name="x", channel="b-c", tenants=frozenset({"a"}))])
    with pytest.raises(ChannelNotAllowedError):
        router_of(rules, *CARDS).decide(ask(tenant="a-b", channel="c"))


@pytest.mark.parametrize(
    ("fields", "exclusion"),
    [
        ({"tenants": frozenset({"acme"})}, Exclusion.TENANT),
        ({"channels": frozenset({"ivr"})}, Exclusion.CHANNEL),
        ({"channels": frozenset()}, Exclusion.CHANNEL),
        ({"channels": frozenset({"ivr"}), "version": "1.0.0"}, Exclusion.CHANNEL),
    ],
)
def test_a_declaration_takes_rights_from_an_agent(fields: dict[str, Any], exclusion: Exclusion) -> None:
    declared = DeclaredAgent(card=AgentCard("billing-agent", ""), where="agents.yaml:4", **fields)
    decision = router_of(Rules.of(agents=[declared]), BILLING, FAULTS).decide(ask(operator=True))
    [told] = [each for each in decision.candidates if each.agent == "billing-agent"]
    assert (told.exclusion, told.chosen) == (exclusion, False)
    assert told.reason.startswith("agents.yaml:4 does not let it serve")


def test_a_declaration_gives_an_agent_no_rights_that_it_does_not_claim() -> None:
    declared = DeclaredAgent(card=AgentCard("billing-agent", ""), tenants=frozenset({"default"}))
    router = router_of(Rules.of(agents=[declared]), replace(BILLING, tenants=frozenset({"acme"})))
    assert router.decide(ask()).mode is DecisionMode.ABSTAINED


def test_a_version_that_no_declaration_is_about_has_no_rights_where_another_is_declared() -> None:
    declared = DeclaredAgent(card=AgentCard("billing-agent", ""), version="2.0.0", where="agents.yaml:4")
    decision = router_of(Rules.of(agents=[declared]), BILLING, replace(FAULTS, name="far-agent")).decide(ask())
    [told] = [each for each in decision.candidates if each.agent == "billing-agent"]
    assert (told.exclusion, told.chosen) == (Exclusion.VERSION, False)
    assert told.reason == "agents.yaml:4 declares it, and not in this version and subset"
    assert router_of(Rules.of(agents=[declared]), replace(BILLING, version="2.0.0")).decide(ask()).targets


def test_that_an_agent_has_no_canary_is_told_only_to_who_asked_for_one() -> None:
    router = router_of(requiring(weights={"canary": 1}), BILLING)
    assert "subset" not in router.decide(ask()).reason
    assert "no ready instance of the subset 'canary'" in router.decide(ask(subset="canary")).reason


def test_examples_of_a_declaration_are_learnt_and_forgotten_with_the_rules() -> None:
    slang = "the thing on the wall blinks purple"
    phrases = {"en": (slang, "purple blinking again")}
    card = AgentCard("fault-agent", "", capabilities=(Capability("repair-line", "1.0.0", examples=phrases),))
    router = Router(desk(*CARDS))
    assert router.decide(ask(slang)).mode is DecisionMode.ABSTAINED
    router.use(Rules.of(agents=[DeclaredAgent(card=card)]))
    assert [each.agent for each in router.decide(ask(slang)).targets] == ["fault-agent"]
    router.use(Rules())
    assert router.decide(ask(slang)).mode is DecisionMode.ABSTAINED


# What else a channel and a tenant set.


def test_a_channel_has_a_fallback_agent_and_words_of_its_own() -> None:
    texts = {"en": "Sorry.", "de": "Leider nein."}
    own = Channel(name="w", channel="web", fallback_agent="concierge-agent", fallback_texts=texts)
    router = router_of(Rules.of(channels=[own, Channel(name="i", channel="ivr", fallback_texts=texts)]), *CARDS)
    taken = router.decide(ask("who won the world cup in 1990"))
    assert (taken.mode, chosen(taken)) == (DecisionMode.FALLBACK, ["concierge-agent/1.0.0/stable#"])
    for locale, words in (("de-AT", "Leider nein."), ("fr", "Sorry."), ("", "Sorry.")):
        turn = replace(ask("who won the world cup in 1990", channel="ivr"), user=User(locale=locale))
        decision = router.decide(turn)
        assert (decision.mode, decision.abstention) == (DecisionMode.ABSTAINED, words)


def test_a_fallback_agent_that_the_channel_does_not_require_takes_nothing() -> None:
    router = router_of(requiring(fallback_agent="concierge-agent"), BILLING, CONCIERGE)
    decision = router.decide(ask("who won the world cup in 1990"))
    assert decision.mode is DecisionMode.ABSTAINED
    assert "the fallback concierge-agent may not or cannot take the turn" in decision.reason


def test_a_channel_has_thresholds_of_its_own() -> None:
    classifier = ScriptedClassifier({"say": {"explain-bill": 0.6}})
    router = Router(desk(*CARDS), classifier)
    strict = Channel(name="s", channel="strict", thresholds=Thresholds(accept=0.7))
    router.use(Rules.of(channels=[strict, Channel(name="w", channel="web")]))
    assert router.decide(ask("say")).targets
    decision = router.decide(ask("say", channel="strict"))
    assert decision.mode is DecisionMode.ABSTAINED
    assert "0.70 is needed" in decision.reason


def test_a_channel_says_how_turns_are_spread_whose_callers_do_not() -> None:
    rules = Rules.of(channels=[Channel(name="w", channel="web", strategy=Strategy(StrategyKind.ONE))])
    two = "my internet is down and also why is my bill so high"
    turn = ask(two)
    assert len(router_of(Rules(), *CARDS).decide(turn).targets) == 2
    assert len(router_of(rules, *CARDS).decide(turn).targets) < 2
    wanted = replace(turn, hint=RouteHint(strategy=Strategy(StrategyKind.ALL)))
    assert len(router_of(rules, *CARDS).decide(wanted).targets) == 2


def test_a_channel_says_the_quorum_and_the_hedge_where_the_caller_does_not() -> None:
    second = timedelta(seconds=1)
    usual = Strategy(StrategyKind.QUORUM, 2, hedge_delay=second)
    router = router_of(Rules.of(channels=[Channel(name="w", channel="web", strategy=usual)]), *CARDS)
    assert router.decide(replace(ask(), hint=RouteHint(capability="explain-bill"))).strategy == usual
    said = Strategy(StrategyKind.QUORUM, 1)
    decision = router.decide(replace(ask(), hint=RouteHint(capability="explain-bill", strategy=said)))
    assert decision.strategy == replace(said, hedge_delay=second)
    every = RouteHint(capability="explain-bill", strategy=Strategy(StrategyKind.ALL))
    assert router.decide(replace(ask(), hint=every)).strategy == Strategy(StrategyKind.ALL)


def test_a_tenant_limits_branches_and_time_and_a_caller_can_only_lower_them() -> None:
    minute, second = timedelta(minutes=1), timedelta(seconds=1)
    tenant = Tenant(name="default", max_branches=1, turn_budget=minute)
    rules = Rules.of([tenant], [Channel(name="w", channel="web", turn_budget=2 * minute)])
    router = router_of(rules, *CARDS)
    decision = router.decide(replace(ask(), hint=RouteHint(strategy=Strategy(StrategyKind.ALL))))
    assert (len(decision.targets), decision.strategy.turn_budget) == (1, minute)
    sooner = router.decide(replace(ask(), hint=RouteHint(strategy=Strategy(turn_budget=second))))
    assert sooner.strategy.turn_budget == second


def test_the_language_of_a_tenant_is_that_of_users_who_name_none() -> None:
    english, german = replace(BILLING, locales=("en",)), replace(BILLING, name="rechnungs-agent", locales=("de",))
    router = router_of(Rules.of([Tenant(name="default", default_locale="de-DE")]), english, german)
    decision = router.decide(ask("warum ist meine rechnung so hoch"))
    assert ([each.agent for each in decision.targets], decision.locale) == (["rechnungs-agent"], "de-DE")
    assert router.decide(replace(ask(), user=User(locale="en"))).locale == "en"


@pytest.mark.parametrize(
    ("channel", "caller", "lane"),
    [
        (Lane.UNSPECIFIED, Lane.UNSPECIFIED, Lane.MANAGED),
        (Lane.EXPRESS, Lane.UNSPECIFIED, Lane.EXPRESS),
        (Lane.EXPRESS, Lane.MANAGED, Lane.MANAGED),
        (Lane.MANAGED, Lane.EXPRESS, Lane.MANAGED),
        (Lane.UNSPECIFIED, Lane.EXPRESS, Lane.EXPRESS),
    ],
)
def test_a_channel_has_a_lane(channel: Lane, caller: Lane, lane: Lane) -> None:
    rules = Rules.of(channels=[Channel(name="w", channel="web", lane=channel)])
    router = router_of(rules, *CARDS, express=ExpressLane.ASKED)
    turn = replace(ask(), turn_id="t", hint=RouteHint("billing-agent", lane=caller))
    choice = router.lane(turn, router.decide(turn))
    assert choice.lane is lane
    assert ("the channel w wants it" in choice.reason) is (channel is Lane.MANAGED)


def test_the_turns_of_a_durable_channel_do_not_leave_the_managed_lane() -> None:
    rules = Rules.of(channels=[Channel(name="w", channel="web", durable=True)])
    router = router_of(rules, *CARDS, express=ExpressLane.ON)
    turn = replace(ask(), turn_id="t", hint=RouteHint(lane=Lane.EXPRESS))
    choice = router.lane(turn, router.decide(turn))
    assert (choice.lane, choice.reason) == (Lane.MANAGED, "the channel w is durable")


def test_a_channel_that_would_like_the_express_lane_says_nothing_where_it_is_closed() -> None:
    router = router_of(Rules.of(channels=[Channel(name="w", channel="web", lane=Lane.EXPRESS)]), *CARDS)
    choice = router.lane(ask(), router.decide(ask()))
    assert (choice.lane, choice.reason) == (Lane.MANAGED, "")


def test_a_channel_may_forbid_to_give_turns_on() -> None:
    router = router_of(
        Rules.of(channels=[Channel(name="w", channel="web", may_hand_over=False, where="c.yaml:1")]), *CARDS
    )
    assert router.decide(ask()).targets
    with pytest.raises(HandoverLimitError, match="contract-agent may not give the turn on"):
        router.decide(ask(visited=("contract-agent",)))


@pytest.mark.parametrize("durable", [True, False, None])
def test_a_channel_says_how_durable_its_turns_are(durable: bool | None) -> None:  # noqa: FBT001 - a parameter of the test
    rules = Rules.of(channels=[Channel(name="w", channel="web", durable=durable)])
    assert router_of(rules, *CARDS).durable(ask()) is durable


def test_other_rules_come_into_force_as_a_whole_and_old_ones_leave_nothing() -> None:
    router = Router(desk(*CARDS))
    before = chosen(router.decide(ask()))
    router.use(Rules.of([Tenant(name="acme")], [Channel(name="w", channel="web", required=())]))
    with pytest.raises(TenantNotAllowedError):
        router.decide(ask())
    assert router.decide(ask(tenant="acme")).mode is DecisionMode.ABSTAINED
    router.use(Rules())
    assert chosen(router.decide(ask())) == before


def test_a_decision_tells_what_the_rules_kept_out_and_how_many() -> None:
    cards = (*CARDS, replace(BILLING, version="0.9.0"), replace(FAULTS, name="far-agent", tenants=frozenset({"x"})))
    governance = router_of(requiring(), *cards).decide(ask(operator=True)).governance
    assert governance is not None
    assert (governance.channel, governance.subset, governance.allowed) == ("acme-web", "stable", 1)
    assert governance.excluded == {Exclusion.CAPABILITY: 4, Exclusion.TENANT: 1, Exclusion.VERSION: 1}


# Why not.


def told(router: Router, agent: str, turn: TurnRequest | None = None) -> list[tuple[str, str, Exclusion]]:
    turn = turn or ask()
    try:
        decision = router.decide(turn)
    except LmosError:
        decision = None
    return [(each.version, each.capability, each.exclusion) for each in router.why_not(turn, agent, decision)]


def test_every_obstacle_is_told_not_only_the_first() -> None:
    declared = DeclaredAgent(card=AgentCard("billing-agent", ""), channels=frozenset({"ivr"}), where="a.yaml:1")
    view = desk(replace(BILLING, tenants=frozenset({"acme"}), channels=frozenset({"app"})), draining=("billing-agent",))
    router = Router(view)
    router.use(Rules.of(agents=[declared]))
    answers = router.why_not(ask(visited=("billing-agent",), operator=True), "billing-agent", None)
    wanted = [Exclusion.TENANT, Exclusion.CHANNEL, Exclusion.CHANNEL, Exclusion.VISITED, Exclusion.NOT_READY]
    assert [each.exclusion for each in answers] == wanted
    assert all(each.reason for each in answers)


@pytest.mark.parametrize(
    ("rules", "cards", "agent", "answer"),
    [
        (requiring(), CARDS, "fault-agent", ("1.0.0", "repair-line", Exclusion.CAPABILITY)),
        (requiring("^2.0.0"), (BILLING,), "billing-agent", ("1.0.0", "explain-bill", Exclusion.VERSION)),
        (Rules(), (replace(BILLING, subset="canary"),), "billing-agent", ("1.0.0", "", Exclusion.SUBSET)),
        (Rules(), (BILLING, replace(BILLING, version="2.0.0")), "billing-agent", ("1.0.0", "", Exclusion.VERSION)),
        (Rules(), CARDS, "fault-agent", ("1.0.0", "repair-line", Exclusion.NOT_CHOSEN)),
        (Rules(), CARDS, "fault-agnet", ("", "", Exclusion.NOT_REGISTERED)),
        (Rules(), CARDS, "billing-agent", ("1.0.0", "explain-bill", Exclusion.NONE)),
        (requiring("^2.0.0", strict=True), (BILLING,), "billing-agent", ("1.0.0", "explain-bill", Exclusion.VERSION)),
    ],
)
def test_what_kept_an_agent_out_is_told(
    rules: Rules, cards: tuple[AgentCard, ...], agent: str, answer: tuple[str, str, Exclusion]
) -> None:
    assert answer in told(router_of(rules, *cards), agent)


def test_a_lower_score_is_told_with_the_one_that_beat_it() -> None:
    router = Router(desk(*CARDS), ScriptedClassifier({"say": {"explain-bill": 0.95, "repair-line": 0.6}}))
    decision = router.decide(ask("say"))
    [fault] = router.why_not(ask("say"), "fault-agent", decision)
    assert fault.reason.startswith("it scores 0.60, and explain-bill of billing-agent 0.95")
    [order] = router.why_not(ask("say"), "order-agent", decision)
    assert order.reason == "it scores 0.10, and 0.50 is needed"


def test_an_agent_that_nothing_keeps_out_is_told_so_where_the_caller_named_another() -> None:
    turn = replace(ask(), hint=RouteHint("fault-agent"))
    router = Router(desk(*CARDS))
    [answer] = router.why_not(turn, "billing-agent", router.decide(turn))
    assert (answer.exclusion, answer.reason) == (Exclusion.NOT_CHOSEN, "the caller named the agent 'fault-agent'")


def test_a_misspelt_agent_is_told_with_what_was_meant() -> None:
    [answer] = Router(desk(*CARDS)).why_not(ask(), "contracts-agent", None)
    assert answer.reason == "no agent 'contracts-agent' is registered; did you mean contract-agent?"
    assert CONTRACTS.name == "contract-agent"


# Whatever the rules, the registry and the turn.

VERSIONS = ("1.0.0", "1.1.0", "2.0.0-rc.1", "2.0.0")
agents = st.builds(
    lambda name, version, subset, capabilities, tenants, channels: AgentCard(
        name,
        version,
        capabilities=tuple(Capability(each, offered, f"Does {each}.") for each, offered in capabilities.items()),
        tenants=tenants,
        channels=channels,
        subset=subset,
    ),
    name=st.sampled_from(("a-agent", "b-agent")),
    version=st.sampled_from(VERSIONS),
    subset=st.sampled_from(("stable", "canary")),
    capabilities=st.dictionaries(st.sampled_from(("one", "two", "three")), st.sampled_from(VERSIONS), min_size=1),
    tenants=st.frozensets(st.sampled_from(("x", "y")), max_size=1),
    channels=st.frozensets(st.sampled_from(("web", "ivr")), max_size=1),
)
wishes = st.builds(
    RequiredCapability,
    st.sampled_from(("one", "two", "three")),
    st.sampled_from(("", "^1.0.0", ">=1.1.0", "2.0.0")).map(VersionRange),
    st.sampled_from(VersionPick),
)
channels = st.builds(
    Channel,
    name=st.just("web"),
    channel=st.just("web"),
    required=st.none() | st.lists(wishes, max_size=3).map(tuple),
    strict=st.booleans(),
    weights=st.sampled_from(({}, {"stable": 1, "canary": 1})),
    fallback_agent=st.sampled_from(("", "a-agent")),
)
declarations = st.builds(
    DeclaredAgent,
    card=st.sampled_from(("a-agent", "b-agent")).map(lambda name: AgentCard(name, "")),
    version=st.sampled_from(("", "1.0.0")),
    tenants=st.frozensets(st.sampled_from(("x", "y")), max_size=1),
    channels=st.sampled_from((frozenset({"*"}), frozenset({"web"}), frozenset({"ivr"}))),
)


@settings(max_examples=300)
@given(
    cards=st.lists(agents, max_size=6, unique_by=lambda card: card.key),
    channel=channels,
    declared=st.lists(declarations, max_size=2),
    tenant=st.sampled_from(("x", "y", "z")),
    subset=st.sampled_from(("", "canary", "beta")),
    hint=st.builds(
        RouteHint,
        agent=st.sampled_from(("", "", "a-agent")),
        capability=st.sampled_from(("", "", "one")),
        version_range=st.sampled_from(("", "^1.0.0")),
        strategy=st.builds(Strategy, st.sampled_from((StrategyKind.UNSPECIFIED, StrategyKind.ALL))),
    ),
    last=st.sampled_from(("", "a-agent", "b-agent")),
    visited=st.sampled_from(((), ("b-agent",))),
    conversation=st.text(max_size=3),
)
def test_whoever_gets_a_turn_may_have_it_by_every_rule(  # noqa: PLR0917 - hypothesis gives them by name
    cards: list[AgentCard],
    channel: Channel,
    declared: list[DeclaredAgent],
    tenant: str,
    subset: str,
    hint: RouteHint,
    last: str,
    visited: tuple[str, ...],
    conversation: str,
) -> None:
    classifier = ScriptedClassifier({"say": {"one": 0.8, "two": 0.9, "three": 0.75}})
    router = Router(desk(*cards), classifier, RoutingSettings(fallback_agent="b-agent"))
    router.use(Rules.of(channels=[channel], agents=declared))
    context = CallContext(tenant=tenant, subset=subset, visited=visited)
    turn = TurnRequest(Message.from_user("say"), conversation_id=conversation, hint=hint, context=context)
    try:
        decision = router.decide(turn, ConversationState(last, "three", turn_count=1) if last else ConversationState())
    except LmosError:
        return
    by_key = {card.key: card for card in cards}
    for target in decision.targets:
        card = by_key[target.key]
        assert not card.tenants or tenant in card.tenants
        assert not card.channels or "web" in card.channels
        assert card.name not in visited
        assert target.subset in {"stable", "canary"}
        about = [each for each in declared if each.card.name == card.name]
        assert not about or any(each.is_about(card.key) for each in about)
        for each in about:
            assert not each.is_about(card.key) or (each.serves_tenant(tenant) and each.serves_channel("web"))
        if channel.required is not None:
            may = channel.permitted(card)
            assert target.capability in may or (not target.capability and len(may) == len(card.capabilities))
    assert decision.governance is not None
    assert not channel.strict or not decision.governance.unresolved
    assert not any(each.chosen and each.exclusion is not Exclusion.NONE for each in decision.candidates)
    assert router.why_not(turn, "a-agent", decision)


@pytest.mark.parametrize(
    ("channel", "lane", "why"),
    [
        (Channel(name="w", channel="web"), Lane.EXPRESS, "holds it itself"),
        (Channel(name="w", channel="web", lane=Lane.MANAGED), Lane.MANAGED, "the channel w wants it"),
        (Channel(name="w", channel="web", durable=True), Lane.MANAGED, "the channel w is durable"),
        (Channel(name="w", channel="web", turn_budget=timedelta(minutes=1)), Lane.MANAGED, "the time"),
    ],
)
def test_a_channel_keeps_its_sessions_where_it_keeps_its_turns(channel: Channel, lane: Lane, why: str) -> None:
    router = router_of(Rules.of(channels=[channel]), replace(BILLING, converses=True), express=ExpressLane.ON)
    turn = replace(ask(), hint=RouteHint("billing-agent"))
    choice = router.session_lane(turn, router.decide(turn))
    assert choice.lane is lane
    assert why in choice.reason
