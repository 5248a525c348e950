"""Get, list and find."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.discovery import Registry
from lmos_grpc.discovery.catalogue import Audience, Wanted
from lmos_grpc.domain.card import Capability
from lmos_grpc.domain.instance import InstanceState
from lmos_grpc.errors import InvalidPageTokenError, InvalidVersionError, UnknownAgentError
from tests.fakes.registrations import card, registration

if TYPE_CHECKING:
    from lmos_grpc.domain.card import AgentCard


def registry_of(*cards: AgentCard) -> Registry:
    registry = Registry()
    for number, each in enumerate(cards):
        registry.register(registration(f"i-{number}", f"127.0.0.1:{9_000 + number}", each))
    return registry


def routes_found(registry: Registry, wanted: Wanted) -> list[str]:
    return [each.agent.key.route for each in registry.catalogue.find(wanted)]


def test_get_gives_the_highest_version_by_precedence() -> None:
    versions = ("1.9.0", "1.10.0", "1.10.0-rc.1")
    registry = registry_of(*(card(version=each) for each in versions))
    assert registry.catalogue.agent("billing").key.version == "1.10.0"
    assert registry.catalogue.agent("billing", version="1.9.0").key.version == "1.9.0"


def test_get_prefers_stable_and_takes_any_subset_where_there_is_none() -> None:
    registry = registry_of(card(version="1.0.0"), card(version="2.0.0", subset="canary"))
    assert registry.catalogue.agent("billing").key.subset == "stable"
    assert registry.catalogue.agent("billing", subset="canary").key.version == "2.0.0"
    assert registry.catalogue.agent("billing", version="2.0.0").key.subset == "canary"


def test_get_of_an_agent_that_is_not_there_says_so() -> None:
    registry = registry_of(card())
    for name, version, subset in (("nobody", "", ""), ("billing", "3.0.0", ""), ("billing", "", "beta")):
        with pytest.raises(UnknownAgentError, match="no agent"):
            registry.catalogue.agent(name, version=version, subset=subset)


def test_get_of_a_version_that_is_none_says_so() -> None:
    with pytest.raises(InvalidVersionError, match=r"such as 1\.2\.0"):
        registry_of(card()).catalogue.agent("billing", version="latest")


def test_pages_give_every_agent_once_in_order() -> None:
    cards = [
        card(f"agent-{number:02}", version) for number in range(10) for version in ("1.9.0", "1.10.0+a", "1.10.0+b")
    ]
    catalogue = registry_of(*reversed(cards)).catalogue
    seen: list[str] = []
    token = ""
    while page := list(itertools.islice(catalogue.agents_after(token, Audience()), 7)):
        seen += [agent.key.route for agent in page]
        token = catalogue.page_token(page[-1], Audience())
    assert seen == [each.key.route for each in cards]


def test_a_page_goes_on_where_it_was_though_its_last_agent_is_gone() -> None:
    registry = registry_of(card("a"), card("b"), card("c"))
    first = next(registry.catalogue.agents_after("", Audience()))
    token = registry.catalogue.page_token(first, Audience())
    registry.deregister("i-0", 1)
    assert [each.key.name for each in registry.catalogue.agents_after(token, Audience())] == ["b", "c"]


def test_a_page_token_is_good_only_for_its_filters() -> None:
    catalogue = registry_of(card("a"), card("b")).catalogue
    token = catalogue.page_token(next(catalogue.agents_after("", Audience())), Audience())
    with pytest.raises(InvalidPageTokenError):
        list(catalogue.agents_after(token, Audience(tenant="acme")))


@pytest.mark.parametrize("token", ["x", "!!!", "bnVsbA", "W10", "é", "a" * 2_000, "WyJhIiwgImIiLCAiYyIsICJkIl0"])
def test_a_page_token_that_is_not_ours_is_refused(token: str) -> None:
    with pytest.raises(InvalidPageTokenError):
        list(registry_of(card()).catalogue.agents_after(token, Audience()))


@pytest.mark.parametrize(
    ("audience", "names"),
    [
        (Audience(), ["all", "some"]),
        (Audience(tenant="acme"), ["all", "some"]),
        (Audience(tenant="other"), ["all"]),
        (Audience(channel="ivr"), ["all"]),
        (Audience(locale="de-AT"), ["all", "some"]),
        (Audience(locale="DE"), ["all", "some"]),
        (Audience(locale="den"), ["all"]),
        (Audience(locale="en"), ["all"]),
    ],
)
def test_agents_are_filtered_by_whom_they_serve(audience: Audience, names: list[str]) -> None:
    some = card("some", tenants=frozenset({"acme"}), channels=frozenset({"web"}), locales=("de",))
    registry = registry_of(card("all"), some)
    assert [each.key.name for each in registry.catalogue.agents_after("", audience)] == names
    assert sorted(each.agent.key.name for each in registry.catalogue.find(Wanted(audience=audience))) == names


def test_find_by_capability_gives_only_those_in_the_range() -> None:
    def with_version(version: str) -> AgentCard:
        return card(
            f"billing-{version[0]}", capabilities=(Capability("explain-bill", version), Capability("pay", version))
        )

    registry = registry_of(with_version("1.2.0"), with_version("2.0.0"))
    assert routes_found(registry, Wanted("explain-bill", "^1.0")) == ["billing-1/1.0.0/stable"]
    assert routes_found(registry, Wanted("explain-bill", ">=1")) == ["billing-1/1.0.0/stable", "billing-2/1.0.0/stable"]
    assert routes_found(registry, Wanted("explain-bill", "3.x")) == []
    assert routes_found(registry, Wanted("unknown")) == []


@pytest.mark.parametrize("version_range", ["newest", "^1.2 - 3", "((", ">", "^1.2.3.4.5", "^1.0" + " || ^1.0" * 100])
def test_find_with_a_range_that_is_none_says_so(version_range: str) -> None:
    with pytest.raises(InvalidVersionError, match="npm-style"):
        registry_of(card()).catalogue.find(Wanted(version_range=version_range))


def test_find_leaves_out_agents_that_drain() -> None:
    registry = registry_of(card())
    registry.update_state("i-0", 1, InstanceState.DRAINING)
    assert registry.catalogue.find(Wanted()) == []


def test_find_by_text_ranks_by_the_words_in_common() -> None:
    bill = Capability("explain-bill", "1.0.0", examples={"en": ("why is my bill so high",)})
    tariff = Capability("change-tariff", "1.0.0", examples={"en": ("I want another tariff", "is my tariff good")})
    track = Capability("track-order", "1.0.0", "Follows parcels")
    registry = registry_of(card("desk", capabilities=(tariff, bill, track)))
    found = registry.catalogue.find(Wanted(text="Why is my BILL so high?"))
    assert [each.capability.id for each in found] == ["explain-bill", "change-tariff"]
    assert found[0].score == 1.0
    assert found[1].score == pytest.approx(2 / 6)
    assert registry.catalogue.find(Wanted(text="?!")) == []


def test_find_by_text_follows_a_card_that_changes() -> None:
    registry = registry_of(card())
    assert registry.catalogue.find(Wanted(text="parcel")) == []
    changed = card(capabilities=(Capability("track", "1.0.0", "Finds a parcel"),))
    registry.register(registration("i-0", "127.0.0.1:9000", changed))
    assert [each.capability.id for each in registry.catalogue.find(Wanted(text="parcel"))] == ["track"]


def test_find_without_text_gives_the_highest_version_of_an_agent_first() -> None:
    registry = registry_of(card("b", "1.9.0"), card("b", "1.10.0"), card("a"))
    assert routes_found(registry, Wanted()) == ["a/1.0.0/stable", "b/1.10.0/stable", "b/1.9.0/stable"]
