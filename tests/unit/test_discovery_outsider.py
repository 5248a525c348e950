"""Who asks about the registry at the edge learns of the agents of its tenant, and of nobody's address."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lmos_grpc.discovery.catalogue import Match
from lmos_grpc.discovery.outsider import Outsider, OutsidersWatch
from lmos_grpc.domain.card import Capability
from lmos_grpc.domain.instance import (
    Agent,
    Heartbeat,
    InstancePut,
    InstanceRemoved,
    RegistryUpdate,
    RemovalReason,
    SnapshotPart,
)
from tests.fakes.registry import instance

if TYPE_CHECKING:
    from lmos_grpc.domain.instance import Instance

ACME = Outsider("acme")


def of_tenant(tenant: str) -> Instance:
    found = instance(f"{tenant}-agent", f"10.0.0.1:{len(tenant)}")
    return replace(found, card=replace(found.card, tenants=frozenset({tenant})))


OURS, THEIRS, EVERYBODYS = of_tenant("acme"), of_tenant("other"), instance("all-agent", "10.0.0.1:9")


def agent(one: Instance) -> Agent:
    return Agent(one.card, (one,))


def update(body: SnapshotPart | InstancePut | InstanceRemoved | Heartbeat) -> RegistryUpdate:
    return RegistryUpdate(7, "7", body)


def removed(one: Instance) -> InstanceRemoved:
    return InstanceRemoved(one.instance_id, next(iter(RemovalReason)))


def test_only_whom_the_edge_marked_is_an_outsider() -> None:
    said = (("x-lmos-tenant", "acme"),)
    assert Outsider.from_metadata(said) is None
    assert Outsider.from_metadata(None) is None
    assert Outsider.from_metadata((*said, ("x-lmos-outsider", "yes"))) == ACME


def test_agents_are_told_without_addresses_and_those_of_others_are_not_known() -> None:
    found = list(ACME.agents(map(agent, (OURS, THEIRS, EVERYBODYS))))
    assert [each.card.name for each in found] == ["acme-agent", "all-agent"]
    assert {one.address for each in found for one in each.instances} == {""}
    matches = [Match(agent(each), Capability("answer", "1.0.0"), 0.5) for each in (OURS, THEIRS)]
    assert [each.agent.card.name for each in ACME.matches(matches)] == ["acme-agent"]
    assert ACME.agent(agent(OURS)).instances[0].address == ""


def test_a_watch_tells_of_the_agents_of_the_tenant_alone_and_of_every_revision() -> None:
    watch = OutsidersWatch(ACME)
    told = watch.update(update(SnapshotPart((OURS, THEIRS), first=True, last=True)))
    assert told == update(SnapshotPart((replace(OURS, address=""),), first=True, last=True))
    assert watch.update(update(InstancePut(EVERYBODYS))) == update(InstancePut(replace(EVERYBODYS, address="")))
    assert watch.update(update(InstancePut(THEIRS))) == update(Heartbeat())
    assert watch.update(update(removed(THEIRS))) == update(Heartbeat())
    for each in (OURS, EVERYBODYS):
        assert watch.update(update(removed(each))) == update(removed(each))
    assert watch.update(update(Heartbeat())) == update(Heartbeat())


def test_an_agent_that_turns_to_other_tenants_is_gone_for_those_who_knew_it() -> None:
    watch = OutsidersWatch(ACME)
    watch.update(update(InstancePut(OURS)))
    turned = replace(OURS, card=replace(OURS.card, tenants=frozenset({"other"})))
    assert watch.update(update(InstancePut(turned))).body == InstanceRemoved(
        OURS.instance_id, RemovalReason.DEREGISTERED
    )
    assert watch.update(update(InstancePut(turned))) == update(Heartbeat())
