"""Whatever is sent to discovery, it answers with a value or with an error of ours."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st
from lmos.agent.v1 import agent_card_pb2
from lmos.discovery.v1 import discovery_service_pb2 as pb

from lmos_grpc.discovery import Registration, Registry
from lmos_grpc.discovery.catalogue import Audience, Wanted
from lmos_grpc.discovery.page_token import key_from_token, token_after
from lmos_grpc.discovery.registration import check_card, check_registration
from lmos_grpc.discovery.wire import (
    instance_from_bytes,
    instance_to_bytes,
    page_to_wire,
    registration_from_wire,
    update_to_messages,
    wanted_from_wire,
)
from lmos_grpc.domain.card import AgentCard, AgentKey, Capability
from lmos_grpc.domain.instance import Instance, Lease, RegistryUpdate, SnapshotPart
from lmos_grpc.errors import InvalidPageTokenError, InvalidVersionError, LmosError
from lmos_grpc.wire.instance import update_from_wire
from tests.fakes.registrations import card, registration

EMPTY_CARD = agent_card_pb2.AgentCard()
REGISTRY = Registry()
REGISTRY.register(registration())


@given(st.binary(max_size=300))
@example(pb.RegisterRequest(card=EMPTY_CARD, ttl=Duration(seconds=2**63 - 1, nanos=2**31 - 1)).SerializeToString())
@example(pb.RegisterRequest(card=EMPTY_CARD, ttl=Duration(seconds=-(2**63), nanos=-(2**31))).SerializeToString())
def test_any_bytes_are_a_registration_or_an_error(content: bytes) -> None:
    with suppress(DecodeError, LmosError):
        check_registration(registration_from_wire(pb.RegisterRequest.FromString(content)))


@given(
    st.builds(
        pb.RegisterRequest,
        instance_id=st.text(max_size=20),
        address=st.one_of(st.text(max_size=30), st.from_regex(r"[\w.\[\]:-]{0,20}:\d{0,7}", fullmatch=True)),
        ttl=st.builds(Duration, seconds=st.integers(-(2**63), 2**63 - 1), nanos=st.integers(-(2**31), 2**31 - 1)),
        epoch=st.integers(-(2**63), 2**63 - 1),
        card=st.builds(agent_card_pb2.AgentCard, name=st.text(), version=st.text()),
    )
)
def test_any_registration_is_taken_or_refused(request: pb.RegisterRequest) -> None:
    with suppress(LmosError):
        check_registration(registration_from_wire(request))


@given(
    st.builds(
        pb.FindRequest,
        version_range=st.text(alphabet="0123456789.^~<>=|- xX*abv+", max_size=30),
        text=st.text(),
        limit=st.integers(-5, 500),
    )
)
@example(pb.FindRequest(version_range="^1.2 - 3"))
@example(pb.FindRequest(version_range="1 - 2 - 3"))
def test_any_question_is_answered_or_refused(request: pb.FindRequest) -> None:
    with suppress(LmosError):
        wanted, limit = wanted_from_wire(request)
        assert 1 <= limit <= 100
        REGISTRY.catalogue.find(wanted)


@given(st.text(max_size=100))
def test_any_text_is_a_version_range_or_an_error(version_range: str) -> None:
    with suppress(InvalidVersionError):
        REGISTRY.catalogue.find(Wanted(version_range=version_range))


@given(st.text(max_size=200))
def test_any_text_is_a_page_token_or_an_error(token: str) -> None:
    with suppress(InvalidPageTokenError):
        list(REGISTRY.catalogue.agents_after(token, Audience()))


# What registration takes; no other key ends a page.
LABELS = st.from_regex(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
LONGEST_VERSION = "1.0.0-" + "a" * 58


@given(LABELS, st.sampled_from(["1.0.0", "2.0.0-rc.1+b", LONGEST_VERSION]), LABELS)
@example("a" * 63, LONGEST_VERSION, "z" * 63)
def test_a_page_token_comes_back_as_it_was_made(name: str, version: str, subset: str) -> None:
    check_card(card(name, version=version, subset=subset))
    key = AgentKey(name, version, subset)
    assert key_from_token(token_after(key, Audience("acme")), Audience("acme")) == key


@given(st.text(max_size=100))
def test_any_resume_token_begins_a_watch(token: str) -> None:
    REGISTRY.watch(token)
    REGISTRY.watch(f"{REGISTRY.registry_id}:{token}")


@given(st.binary(max_size=300))
def test_any_record_is_an_instance_or_damaged(record: bytes) -> None:
    with suppress(DecodeError):
        instance_from_bytes(record)


def instance(number: int, size: int) -> Instance:
    of = AgentCard(f"agent-{number}", "1.0.0", capabilities=(Capability("answer", "1.0.0", "x" * size),))
    return Instance(f"i-{number}", f"h:{number}", of, Lease(f"i-{number}", number, timedelta(seconds=5)))


@given(st.lists(st.sampled_from([10, 500_000, 1_000_000]), max_size=12), st.booleans(), st.booleans())
def test_a_snapshot_is_the_same_after_it_was_cut_to_size(sizes: list[int], first: bool, last: bool) -> None:  # noqa: FBT001
    instances = tuple(instance(number, size) for number, size in enumerate(sizes))
    messages = list(update_to_messages(RegistryUpdate(7, "r:7", SnapshotPart(instances, first=first, last=last))))
    assert all(message.ByteSize() < 4 * 1024 * 1024 for message in messages)
    parts = [update_from_wire(message) for message in messages]
    bodies = [part.body for part in parts if isinstance(part.body, SnapshotPart)]
    assert tuple(each for body in bodies for each in body.instances) == instances
    assert [body.first for body in bodies] == [first] + [False] * (len(bodies) - 1)
    assert [body.last for body in bodies] == [False] * (len(bodies) - 1) + [last]
    assert [part.resume_token for part in parts] == [""] * (len(parts) - 1) + ["r:7"]


@given(st.lists(st.sampled_from([10, 500_000, 1_000_000]), max_size=8), st.integers(0, 10))
def test_pages_that_are_cut_to_size_hold_every_agent_once(sizes: list[int], page_size: int) -> None:
    registry = Registry()
    for number, size in enumerate(sizes):
        of = card(f"agent-{number}", capabilities=(Capability("answer", "1.0.0", "x" * size),))
        registry.register(Registration(f"i-{number}", f"h:{number}", of))
    names: list[str] = []
    token = ""
    while True:
        agents = registry.catalogue.agents_after(token, Audience())
        page = page_to_wire(agents, page_size, lambda last: registry.catalogue.page_token(last, Audience()))
        names += [each.card.name for each in page.agents]
        if not (token := page.next_page_token):
            break
    assert names == [f"agent-{number}" for number in range(len(sizes))]


@given(st.builds(Instance, st.text(), st.text(), st.just(card()), st.builds(Lease, st.text(), st.integers(0, 2**62))))
def test_a_record_comes_back_as_it_was_stored(stored: Instance) -> None:
    assert instance_from_bytes(instance_to_bytes(stored)) == stored
