"""One delta stream as a state machine."""

from __future__ import annotations

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lmos_grpc.control_plane.envoy_messages import DeltaRequest, DeltaResponse, Resource
from lmos_grpc.control_plane.subscription import Refusal, Subscription

ONE = Resource("one", "1", b"")
TWO = Resource("one", "2", b"")
NONE = Resource("one", "none", b"")
POISON = "poison"
NAMES = ("one", "two", "three")
NO_ROUTE = "no-route"


def stand_in(name: str) -> Resource | None:
    return None if name == NO_ROUTE else Resource(name, "none", b"")


class Asking:
    """A subscription, and what there is."""

    def __init__(self, *resources: Resource, most_stand_ins: int = 100) -> None:
        self.subscription = Subscription(stand_in, most_stand_ins=most_stand_ins)
        self.there = {each.name: each for each in resources}

    def asks(self, request: DeltaRequest) -> tuple[DeltaResponse, ...]:
        self.subscription.receive(request)
        return self.answers()

    def changes(self, name: str, resource: Resource | None) -> tuple[DeltaResponse, ...]:
        self.there.pop(name, None)
        if resource:
            self.there[name] = resource
        self.subscription.mark([name])
        return self.answers()

    def answers(self) -> tuple[DeltaResponse, ...]:
        return self.subscription.responses(self.there.get)


def subscribed(*resources: Resource) -> Asking:
    asking = Asking(*resources)
    asking.asks(DeltaRequest(subscribe=("one",)))
    return asking


def test_a_name_that_exists_is_answered_with_its_resource() -> None:
    assert Asking(ONE).asks(DeltaRequest(subscribe=("one",))) == (DeltaResponse("1", ONE),)


def test_a_name_that_does_not_exist_is_answered_with_a_stand_in() -> None:
    assert Asking().asks(DeltaRequest(subscribe=("one",))) == (DeltaResponse("1", NONE),)


def test_a_name_that_cannot_exist_is_answered_with_a_removal_each_time() -> None:
    asking = Asking()
    for nonce in ("1", "2"):
        assert asking.asks(DeltaRequest(subscribe=(NO_ROUTE,))) == (DeltaResponse(nonce, removed=(NO_ROUTE,)),)


def test_a_change_is_sent_without_being_asked_for_again() -> None:
    assert subscribed(ONE).changes("one", TWO) == (DeltaResponse("2", TWO),)


def test_a_name_that_comes_into_being_later_is_sent() -> None:
    assert subscribed().changes("one", ONE) == (DeltaResponse("2", ONE),)


def test_that_a_name_is_gone_is_told_once() -> None:
    asking = subscribed(ONE)
    assert asking.changes("one", None) == (DeltaResponse("2", NONE),)
    assert asking.changes("one", None) == ()


def test_a_change_that_leaves_the_content_alone_sends_nothing() -> None:
    assert subscribed(ONE).changes("one", ONE) == ()


def test_a_change_of_what_was_not_asked_for_sends_nothing() -> None:
    assert subscribed(ONE).changes("two", Resource("two", "1", b"")) == ()


def test_a_name_that_is_asked_for_again_is_answered_again() -> None:
    assert subscribed(ONE).asks(DeltaRequest(subscribe=("one",))) == (DeltaResponse("2", ONE),)


def test_what_envoy_holds_already_is_not_sent_after_a_reconnect() -> None:
    request = DeltaRequest(subscribe=("one",), initial_versions={"one": "1"})
    assert Asking(ONE).asks(request) == ()
    assert Asking(TWO).asks(request) == (DeltaResponse("1", TWO),)


def test_what_is_gone_is_replaced_by_a_stand_in_after_a_reconnect() -> None:
    request = DeltaRequest(subscribe=("one",), initial_versions={"one": "1"})
    assert Asking().asks(request) == (DeltaResponse("1", NONE),)


def test_an_unsubscribed_name_is_forgotten() -> None:
    asking = subscribed(ONE)
    asking.asks(DeltaRequest(unsubscribe=("one",)))
    assert asking.changes("one", TWO) == ()


def test_a_refusal_tells_the_name_and_what_envoy_said() -> None:
    refusal = subscribed(ONE).subscription.receive(DeltaRequest(nonce="1", error="bad port"))
    assert refusal == Refusal("one", "1", "bad port")


def test_a_call_that_waits_for_a_refused_resource_is_told_that_there_is_none() -> None:
    assert subscribed(ONE).asks(DeltaRequest(nonce="1", error="bad")) == (DeltaResponse("2", NONE),)


def test_a_refused_resource_is_sent_again_only_with_other_content() -> None:
    asking = subscribed(ONE)
    asking.asks(DeltaRequest(nonce="1", error="bad"))
    assert asking.changes("one", ONE) == ()
    assert asking.changes("one", TWO) == (DeltaResponse("3", TWO),)


def test_a_refused_change_leaves_the_version_before_it_in_place() -> None:
    asking = subscribed(ONE)
    asking.asks(DeltaRequest(nonce="1"))
    asking.changes("one", TWO)
    assert asking.asks(DeltaRequest(nonce="2", error="bad")) == ()
    assert asking.changes("one", TWO) == ()
    assert asking.changes("one", None) == (DeltaResponse("3", NONE),)


def test_what_comes_back_to_the_version_before_a_refused_one_needs_no_sending() -> None:
    asking = subscribed(ONE)
    asking.asks(DeltaRequest(nonce="1"))
    asking.changes("one", TWO)
    asking.asks(DeltaRequest(nonce="2", error="bad"))
    assert asking.changes("one", ONE) == ()


def test_what_envoy_held_before_a_reconnect_stays_when_it_refuses_a_change() -> None:
    asking = Asking(TWO)
    asking.asks(DeltaRequest(subscribe=("one",), initial_versions={"one": "1"}))
    assert asking.asks(DeltaRequest(nonce="1", error="bad")) == ()


def test_a_refused_resource_is_not_tried_again_after_others_were_taken() -> None:
    asking = subscribed(ONE)
    asking.asks(DeltaRequest(nonce="1", error="bad"))
    asking.asks(DeltaRequest(nonce="2"))
    assert asking.changes("one", ONE) == ()


def test_a_refused_stand_in_is_replaced_by_a_removal() -> None:
    asking = subscribed()
    assert asking.asks(DeltaRequest(nonce="1", error="bad")) == (DeltaResponse("2", removed=("one",)),)


def test_stand_ins_are_bounded_and_the_oldest_goes_first() -> None:
    asking = Asking(most_stand_ins=1)
    asking.asks(DeltaRequest(subscribe=("one",)))
    two = Resource("two", "none", b"")
    answers = asking.asks(DeltaRequest(subscribe=("two",)))
    assert answers == (DeltaResponse("2", removed=("one",)), DeltaResponse("3", two))
    assert asking.changes("two", None) == ()
    assert asking.changes("one", ONE) == (DeltaResponse("4", ONE),)
    assert asking.asks(DeltaRequest(subscribe=("two",))) == (DeltaResponse("5", two),)


def test_more_stand_ins_at_once_than_are_allowed_are_answered_all_the_same() -> None:
    answers = Asking(most_stand_ins=1).asks(DeltaRequest(subscribe=("one", "two", "three")))
    assert answers == (
        DeltaResponse("1", removed=("one", "two")),
        DeltaResponse("2", Resource("three", "none", b"")),
    )


def test_an_answer_to_an_unknown_nonce_is_ignored() -> None:
    assert subscribed(ONE).subscription.receive(DeltaRequest(nonce="99", error="bad")) is None


def test_an_ack_that_a_removal_overtook_counts_for_nothing() -> None:
    asking = subscribed()
    asking.asks(DeltaRequest(nonce="1", error="bad"))
    asking.changes("one", ONE)
    assert asking.changes("one", None) == (DeltaResponse("4", removed=("one",)),)
    asking.asks(DeltaRequest(nonce="3"))
    assert asking.changes("one", TWO) == (DeltaResponse("5", TWO),)
    asking.asks(DeltaRequest(nonce="5", error="bad"))
    assert asking.changes("one", ONE) == (DeltaResponse("7", ONE),)


def test_what_envoy_took_before_it_asked_again_is_no_answer_to_a_refusal() -> None:
    asking = subscribed(ONE)
    asking.asks(DeltaRequest(nonce="1"))
    asking.there["one"] = TWO
    assert asking.asks(DeltaRequest(subscribe=("one",))) == (DeltaResponse("2", TWO),)
    assert asking.asks(DeltaRequest(nonce="2", error="bad")) == (DeltaResponse("3", NONE),)


class AnEnvoyAndItsControlPlane(RuleBasedStateMachine):
    """A model of Envoy at the other end of a stream that delays messages: whatever happens, it ends up in step."""

    def __init__(self) -> None:
        super().__init__()
        self.there: dict[str, Resource] = {}
        self.held: dict[str, str] = {}
        self.wanted: set[str] = set()
        self.waiting: set[str] = set()
        self.connect()

    def connect(self) -> None:
        self.subscription = Subscription(stand_in)
        self.to_server: deque[DeltaRequest] = deque()
        self.to_envoy: deque[DeltaResponse] = deque()
        if self.wanted:
            self.to_server.append(DeltaRequest(subscribe=tuple(self.wanted), initial_versions=dict(self.held)))

    @rule(name=st.sampled_from(NAMES), version=st.sampled_from(("1", "2", POISON)))
    def a_resource_changes(self, name: str, version: str) -> None:
        self.there[name] = Resource(name, version, b"")
        self.subscription.mark([name])

    @rule(name=st.sampled_from(NAMES))
    def a_resource_goes(self, name: str) -> None:
        self.there.pop(name, None)
        self.subscription.mark([name])

    @rule(name=st.sampled_from((*NAMES, NO_ROUTE)))
    def a_call_comes_for_a_name(self, name: str) -> None:
        if name not in self.held:
            self.wanted.add(name)
            self.waiting.add(name)
            self.to_server.append(DeltaRequest(subscribe=(name,)))

    @rule()
    def the_stream_breaks(self) -> None:
        self.connect()

    @precondition(lambda self: self.to_server)
    @rule()
    def a_request_arrives(self) -> None:
        self.subscription.receive(self.to_server.popleft())

    @rule()
    def the_server_sends_what_is_due(self) -> None:
        self.to_envoy.extend(self.subscription.responses(self.there.get))

    @precondition(lambda self: self.to_envoy)
    @rule()
    def a_response_arrives(self) -> None:
        response = self.to_envoy.popleft()
        error = ""
        for name in response.removed:
            self.held.pop(name, None)
            self.waiting.discard(name)
        if response.resource and response.resource.version == POISON:
            error = "poison"
        elif response.resource:
            self.held[response.resource.name] = response.resource.version
            self.waiting.discard(response.resource.name)
        self.to_server.append(DeltaRequest(nonce=response.nonce, error=error))

    def settle(self) -> None:
        for _ in range(100):
            while self.to_server:
                self.a_request_arrives()
            self.the_server_sends_what_is_due()
            if not self.to_envoy:
                return
            while self.to_envoy:
                self.a_response_arrives()
        raise AssertionError("the two talk for ever")

    @rule()
    def all_messages_arrive(self) -> None:
        self.settle()
        assert not self.waiting, "a call waits for an answer that does not come"
        for name in self.wanted:
            there = self.there.get(name)
            if name == NO_ROUTE:
                assert name not in self.held
            elif there is None:
                assert self.held.get(name) == "none"
            elif there.version == POISON:
                assert self.held.get(name) in {"none", "1", "2"}
            else:
                assert self.held.get(name) == there.version

    @invariant()
    def envoy_holds_only_what_it_asked_for(self) -> None:
        assert self.held.keys() <= self.wanted

    def teardown(self) -> None:
        self.all_messages_arrive()


TestAnEnvoyAndItsControlPlane = AnEnvoyAndItsControlPlane.TestCase
TestAnEnvoyAndItsControlPlane.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
