"""The live view: what it takes in, what it tells, and how it is kept in step."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.clients.live_view import LiveView, keep_in_step
from lmos_grpc.domain.card import AgentKey
from lmos_grpc.domain.instance import (
    EPOCH_START,
    Heartbeat,
    InstancePut,
    InstanceRemoved,
    InstanceState,
    RegistryUpdate,
    RemovalReason,
    SnapshotPart,
)
from lmos_grpc.errors import UnreachableError
from tests.fakes.registrations import card, registration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc.domain.instance import Instance


def instance(instance_id: str, name: str = "billing", *, version: str = "1.0.0", subset: str = "stable") -> Instance:
    return registration(instance_id, of=card(name, version, subset=subset)).instance(
        epoch=1, registered_at=EPOCH_START + timedelta(seconds=len(instance_id))
    )


def snapshot(*instances: Instance, first: bool = True, last: bool = True) -> RegistryUpdate:
    return RegistryUpdate(1, "t:1", SnapshotPart(instances, first=first, last=last))


def put(each: Instance) -> RegistryUpdate:
    return RegistryUpdate(2, "t:2", InstancePut(each))


def removed(instance_id: str) -> RegistryUpdate:
    return RegistryUpdate(3, "t:3", InstanceRemoved(instance_id, RemovalReason.EXPIRED))


def key(name: str = "billing", version: str = "1.0.0", subset: str = "stable") -> AgentKey:
    return AgentKey(name, version, subset)


@pytest.fixture
def view() -> LiveView:
    return LiveView()


@pytest.fixture
def told(view: LiveView) -> list[frozenset[AgentKey]]:
    changes: list[frozenset[AgentKey]] = []
    view.subscribe(changes.append)
    return changes


def test_it_is_synced_only_after_the_last_part(view: LiveView, told: list[frozenset[AgentKey]]) -> None:
    view.apply(snapshot(instance("a"), last=False))
    assert (view.synced, dict(view.agents), told) == (False, {}, [])
    view.apply(snapshot(instance("b"), first=False))
    assert view.synced
    assert [each.instance_id for each in view.agents[key()].instances] == ["a", "b"]
    assert told == [frozenset({key()})]


def test_a_new_snapshot_forgets_who_is_not_in_it_and_tells_only_what_changed(
    view: LiveView, told: list[frozenset[AgentKey]]
) -> None:
    view.apply(snapshot(instance("a"), instance("b", "orders")))
    view.apply(snapshot(instance("a"), instance("c", "repair")))
    assert set(view.agents) == {key(), key("repair")}
    assert told[1:] == [frozenset({key("orders"), key("repair")})]


def test_a_snapshot_that_breaks_off_is_begun_anew(view: LiveView) -> None:
    view.apply(snapshot(instance("a"), last=False))
    view.apply(snapshot(instance("b", "orders")))
    assert set(view.agents) == {key("orders")}


def test_an_agent_lasts_as_long_as_its_last_instance(view: LiveView) -> None:
    for each in ("a", "b"):
        view.apply(put(instance(each)))
    view.apply(removed("a"))
    assert key() in view.agents
    view.apply(removed("b"))
    view.apply(removed("b"))
    assert (dict(view.agents), dict(view.agents_named("billing"))) == ({}, {})


def test_an_instance_that_becomes_another_version_leaves_the_old_one(
    view: LiveView, told: list[frozenset[AgentKey]]
) -> None:
    view.apply(put(instance("a")))
    view.apply(put(instance("a", version="2.0.0")))
    assert set(view.agents) == {key(version="2.0.0")}
    assert told[-1] == {key(), key(version="2.0.0")}


def test_what_changes_nothing_is_not_told(view: LiveView, told: list[frozenset[AgentKey]]) -> None:
    view.apply(put(instance("a")))
    view.apply(put(instance("a")))
    view.apply(RegistryUpdate(9, "t:9", Heartbeat()))
    assert (len(told), view.revision) == (1, 9)


def test_the_card_of_an_agent_is_that_of_its_newest_instance(view: LiveView) -> None:
    newest = replace(instance("newest"), card=card(description="new"))
    for each in (newest, instance("old")):
        view.apply(put(each))
    assert view.agents[key()].card.description == "new"


def test_an_agent_is_ready_while_any_of_its_instances_is(view: LiveView) -> None:
    view.apply(put(replace(instance("a"), state=InstanceState.DRAINING)))
    assert not view.agents[key()].ready
    view.apply(put(instance("b")))
    assert view.agents[key()].ready


def test_a_listener_that_left_is_not_told(view: LiveView) -> None:
    changes: list[object] = []
    leave = view.subscribe(changes.append)
    leave()
    view.apply(put(instance("a")))
    assert changes == []


async def test_a_feed_that_breaks_is_watched_again_from_where_it_was(
    view: LiveView, caplog: pytest.LogCaptureFixture
) -> None:
    tokens: list[str] = []
    whole = asyncio.Event()

    class BreakingFeed:
        async def watch(self, resume_token: str) -> AsyncIterator[RegistryUpdate]:
            tokens.append(resume_token)
            if len(tokens) == 1:
                yield snapshot(instance("a"))
            elif len(tokens) == 4:
                yield put(instance("b"))
                whole.set()
            raise UnreachableError("discovery is away")

    async with asyncio.timeout(10):
        following = asyncio.create_task(keep_in_step(view, BreakingFeed(), jitter=lambda: 0.0))
        await whole.wait()
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
    assert tokens == ["", "t:1", "t:1", "t:1"]
    assert len(view.agents[key()].instances) == 2
    assert caplog.messages[0].startswith("lost the watch on discovery, keeping revision 1")
