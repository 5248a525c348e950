"""Every rpc of DiscoveryService over a real socket, and every error."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from lmos.agent.v1 import agent_card_pb2
from lmos.discovery.v1 import discovery_service_pb2 as pb
from lmos.discovery.v1 import instance_pb2

from lmos_grpc import errors
from lmos_grpc.domain.card import Capability
from lmos_grpc.domain.instance import InstanceState, Lease, Load
from lmos_grpc.rpc import calling
from lmos_grpc.wire.card import card_to_wire
from tests.fakes.discovery_server import KnownCards, running_discovery
from tests.fakes.registrations import card

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc.domain.card import AgentCard
    from tests.fakes.discovery_server import Discovery

ADDRESS = "127.0.0.1:9000"
OTHER = "127.0.0.1:9001"
FOREIGN_TOKEN = pb.ListAgentsRequest(page_token="?")  # noqa: S106 - a page token is no password


@pytest.fixture
def probe() -> KnownCards:
    return KnownCards({ADDRESS: card(), OTHER: card(version="2.0.0")})


@pytest.fixture
async def discovery(probe: KnownCards) -> AsyncIterator[Discovery]:
    async with running_discovery(probe) as running:
        yield running


async def test_register_renew_and_deregister(discovery: Discovery) -> None:
    lease = await discovery.client.register("billing-1", ADDRESS, card(), ttl=timedelta(seconds=30))
    assert lease == Lease("billing-1", 1, timedelta(seconds=30))
    assert await discovery.client.renew(lease, Load(2, 8)) == lease
    assert discovery.registry.instances()[0].load == Load(2, 8)
    await discovery.client.deregister(lease)
    await discovery.client.deregister(lease)
    assert discovery.registry.instances() == ()


async def test_a_ttl_that_is_not_said_is_ten_seconds(discovery: Discovery) -> None:
    request = pb.RegisterRequest(instance_id="billing-1", address=ADDRESS, card=card_to_wire(card()))
    response = await discovery.stub.Register(request)
    assert response.lease.ttl == Duration(seconds=10)


async def test_registering_again_in_a_live_lease_does_not_ask_the_agent_again(
    discovery: Discovery, probe: KnownCards
) -> None:
    first = await discovery.client.register("billing-1", ADDRESS, card())
    assert await discovery.client.register("billing-1", ADDRESS, card()) == first
    assert probe.asked == [ADDRESS]
    await discovery.client.register("billing-1", ADDRESS, card(description="new"))
    assert probe.asked == [ADDRESS, ADDRESS]


async def test_update_state_gives_the_instance_as_it_is_then(discovery: Discovery) -> None:
    lease = await discovery.client.register("billing-1", ADDRESS, card())
    instance = await discovery.client.update_state(lease, InstanceState.DRAINING, Load(1))
    assert (instance.state, instance.load, instance.card) == (InstanceState.DRAINING, Load(1), card())
    assert instance.registered_at == discovery.registry.instances()[0].registered_at


async def test_get_gives_an_agent_with_its_instances(discovery: Discovery) -> None:
    await discovery.client.register("billing-1", ADDRESS, card())
    await discovery.client.register("billing-2", OTHER, card(version="2.0.0"))
    agent = await discovery.client.get_agent("billing", version="1.0.0")
    assert [each.instance_id for each in agent.instances] == ["billing-1"]
    assert (await discovery.client.get_agent("billing")).key.version == "2.0.0"


async def test_list_gives_pages(discovery: Discovery, probe: KnownCards) -> None:
    cards = {f"10.0.0.{number}:9000": card(f"agent-{number:03}") for number in range(120)}
    probe.cards.update(cards)
    for address, each in cards.items():
        await discovery.client.register(each.name, address, each)
    page = await discovery.stub.ListAgents(pb.ListAgentsRequest())
    assert len(page.agents) == 50
    page = await discovery.stub.ListAgents(pb.ListAgentsRequest(page_size=100, page_token=page.next_page_token))
    assert ([each.card.name for each in page.agents][::69], page.next_page_token) == (["agent-050", "agent-119"], "")
    assert len(await discovery.client.list_agents()) == 120
    assert await discovery.client.list_agents(tenant="acme", channel="web") == await discovery.client.list_agents()


async def test_pages_and_matches_stay_below_the_message_limit(discovery: Discovery, probe: KnownCards) -> None:
    def large(number: int) -> AgentCard:
        phrases = tuple("a" * 490 + str(each) for each in range(1_000))
        return card(f"agent-{number}", capabilities=(Capability("answer", "1.0.0", examples={"en": phrases}),))

    for number in range(10):
        address = f"10.0.0.{number}:9000"
        probe.cards[address] = large(number)
        await discovery.client.register(f"i-{number}", address, large(number))
    assert [each.key.name for each in await discovery.client.list_agents()] == [f"agent-{each}" for each in range(10)]
    assert 0 < len(await discovery.client.find(capability="answer")) < 10
    seen = 0
    async for update in discovery.client.watch():
        seen += len(update.body.instances)  # type: ignore[union-attr]
        if update.resume_token:
            break
    assert seen == 10


async def test_find_ranks_by_text(discovery: Discovery, probe: KnownCards) -> None:
    probe.cards[OTHER] = card("orders", capabilities=(Capability("track", "1.0.0", "Follows orders"),))
    await discovery.client.register("billing-1", ADDRESS, card())
    await discovery.client.register("orders-1", OTHER, probe.cards[OTHER])
    found = await discovery.client.find(text="explains invoices to me")
    assert [(each.agent.key.name, each.capability, each.score) for each in found] == [("billing", "explain-bill", 0.5)]
    assert len(await discovery.client.find()) == 2
    assert len((await discovery.stub.Find(pb.FindRequest(limit=1))).matches) == 1


async def refused(discovery: Discovery, method: str, request: object) -> errors.LmosError:
    with pytest.raises(errors.LmosError) as error, calling():
        await getattr(discovery.stub, method)(request, timeout=5)
    return error.value


def registering(**more: object) -> pb.RegisterRequest:
    fields = {"instance_id": "new", "address": ADDRESS, "card": card_to_wire(card())} | more
    return pb.RegisterRequest(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "request_", "error", "words"),
    [
        ("Register", pb.RegisterRequest(), errors.InvalidRequestError, "card: is missing"),
        ("Register", registering(instance_id="a b"), errors.InvalidRequestError, "instance_id: 'a b'"),
        ("Register", registering(address="nowhere"), errors.InvalidRequestError, "is not host:port"),
        ("Register", registering(address="0.0.0.0:80"), errors.InvalidRequestError, "others can dial"),
        ("Register", registering(ttl=Duration(seconds=301)), errors.InvalidRequestError, "ttl: 301 s"),
        ("Register", registering(ttl=Duration(seconds=2**62)), errors.InvalidRequestError, "ttl: "),
        ("Register", registering(ttl=Duration(seconds=-(2**62))), errors.InvalidRequestError, "ttl: "),
        ("Register", registering(epoch=-1), errors.InvalidRequestError, "epoch: -1"),
        ("Register", registering(card=card_to_wire(card(version="one"))), errors.InvalidCardError, "version: 'one'"),
        ("Register", registering(card=agent_card_pb2.AgentCard()), errors.InvalidCardError, "name: ''"),
        ("Register", registering(card=card_to_wire(card(description="x" * 2**21))), errors.InvalidCardError, "allowed"),
        ("Register", registering(address="127.0.0.1:9"), errors.AgentUnreachableError, "nobody listens"),
        ("Register", registering(address=OTHER), errors.CardMismatchError, "'billing' '2.0.0', and not billing 1.0.0"),
        (
            "Register",
            registering(instance_id="billing-1", address=OTHER),
            errors.DuplicateInstanceError,
            "live at 127.0.0.1:9000",
        ),
        ("Renew", pb.RenewRequest(instance_id="who", epoch=1), errors.LeaseNotFoundError, "register again"),
        ("Renew", pb.RenewRequest(instance_id="billing-1", epoch=9), errors.LeaseNotFoundError, "epoch 9"),
        ("Renew", pb.RenewRequest(instance_id="billing-1"), errors.StaleEpochError, "took over"),
        ("Renew", pb.RenewRequest(), errors.InvalidRequestError, "instance_id"),
        ("Deregister", pb.DeregisterRequest(instance_id="billing-1"), errors.StaleEpochError, "took over"),
        ("Deregister", pb.DeregisterRequest(instance_id="a/b"), errors.InvalidRequestError, "instance_id"),
        ("UpdateState", pb.UpdateStateRequest(instance_id="billing-1", epoch=1), errors.InvalidRequestError, "state: "),
        (
            "UpdateState",
            pb.UpdateStateRequest(instance_id="who", epoch=1, state=instance_pb2.INSTANCE_STATE_READY),
            errors.LeaseNotFoundError,
            "register again",
        ),
        ("GetAgent", pb.GetAgentRequest(), errors.UnknownAgentError, "no agent ''"),
        ("GetAgent", pb.GetAgentRequest(name="x" * 10**6), errors.UnknownAgentError, "no agent 'xxx"),
        ("GetAgent", pb.GetAgentRequest(name="billing", version="v1"), errors.InvalidVersionError, "'v1'"),
        ("ListAgents", pb.ListAgentsRequest(page_size=-1), errors.InvalidRequestError, "page_size"),
        ("ListAgents", FOREIGN_TOKEN, errors.InvalidPageTokenError, "page_token"),
        ("Find", pb.FindRequest(version_range="latest"), errors.InvalidVersionError, "version_range: 'latest'"),
        ("Find", pb.FindRequest(version_range="^1.2 - 3"), errors.InvalidVersionError, "version_range"),
        ("Find", pb.FindRequest(text="x" * 2_001), errors.InvalidRequestError, "text"),
        ("Find", pb.FindRequest(limit=-1), errors.InvalidRequestError, "limit"),
    ],
)
async def test_what_is_wrong_gets_a_clear_error_and_breaks_nothing(
    discovery: Discovery, method: str, request_: object, error: type[errors.LmosError], words: str
) -> None:
    lease = await discovery.client.register("billing-1", ADDRESS, card())
    refusal = await refused(discovery, method, request_)
    assert type(refusal) is error
    assert words in refusal.message
    assert await discovery.client.renew(lease) == lease
    assert [each.instance_id for each in discovery.registry.instances()] == ["billing-1"]


async def test_a_message_that_is_too_large_is_refused(discovery: Discovery) -> None:
    lease = await discovery.client.register("billing-1", ADDRESS, card())
    refusal = await refused(discovery, "Register", registering(address="x" * 6_000_000))
    assert isinstance(refusal, errors.MessageTooLargeError)
    assert await discovery.client.renew(lease) == lease


async def test_a_paused_agent_that_wakes_gets_stale_epoch_and_its_successor_stays(
    discovery: Discovery, probe: KnownCards
) -> None:
    probe.cards[OTHER] = card()
    paused = await discovery.client.register("billing-1", ADDRESS, card())
    await discovery.client.deregister(paused)
    successor = await discovery.client.register("billing-1", OTHER, card())
    for attempt in (
        discovery.client.renew(paused),
        discovery.client.update_state(paused, InstanceState.READY),
        discovery.client.deregister(paused),
        discovery.client.register("billing-1", ADDRESS, card(), epoch=paused.epoch),
    ):
        with pytest.raises(errors.StaleEpochError, match="took over"):
            await attempt
    assert await discovery.client.renew(successor) == successor


async def test_an_agent_that_stops_renewing_is_gone_for_everybody(probe: KnownCards) -> None:
    async with running_discovery(probe) as discovery:
        lease = await discovery.client.register("billing-1", ADDRESS, card(), ttl=timedelta(seconds=1))
        watch = discovery.client.watch()
        await anext(watch)
        removed = await anext(watch)
        assert type(removed.body).__name__ == "InstanceRemoved"
        with pytest.raises(errors.LeaseNotFoundError):
            await discovery.client.renew(lease)
        with pytest.raises(errors.UnknownAgentError):
            await discovery.client.get_agent("billing")


async def test_an_unknown_rpc_is_unimplemented(discovery: Discovery) -> None:
    async with grpc.aio.insecure_channel(discovery.address) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            "/lmos.discovery.v1.DiscoveryService/Nothing"
        )
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call(b"")
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_who_asks_from_outside_is_told_no_address_and_of_no_agent_of_another_tenant(discovery: Discovery) -> None:
    await discovery.client.register("billing-1", ADDRESS, card())
    outside = (("x-lmos-outsider", "yes"), ("x-lmos-tenant", "acme"))
    [listed] = (await discovery.stub.ListAgents(pb.ListAgentsRequest(), metadata=outside)).agents
    found = (await discovery.stub.GetAgent(pb.GetAgentRequest(name=listed.card.name), metadata=outside)).agent
    [match] = (await discovery.stub.Find(pb.FindRequest(capability="explain-bill"), metadata=outside)).matches
    async for message in discovery.stub.Watch(pb.WatchRequest(), metadata=outside):
        watched = message.snapshot.instances
        break
    seen = [*listed.instances, *found.instances, *match.agent.instances, *watched]
    assert [each.address for each in seen] == [""] * 4
    assert (await discovery.client.get_agent(listed.card.name)).instances[0].address == ADDRESS


async def test_an_agent_of_another_tenant_is_told_of_as_one_that_does_not_exist(
    discovery: Discovery, probe: KnownCards
) -> None:
    outside = (("x-lmos-outsider", "yes"), ("x-lmos-tenant", "acme"))
    everybodys, others = card(), card(version="2.0.0", tenants=frozenset({"other"}))
    probe.cards[OTHER] = others
    await discovery.client.register("billing-2", OTHER, others)

    async def refusal(name: str) -> tuple[object, str]:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await discovery.stub.GetAgent(pb.GetAgentRequest(name=name), metadata=outside)
        return error.value.code(), str(error.value.details())

    code, details = await refusal(others.name)
    assert (code, details.replace(others.name, "nobody")) == await refusal("nobody")
    await discovery.client.register("billing-1", ADDRESS, everybodys)
    found = (await discovery.stub.GetAgent(pb.GetAgentRequest(name=others.name), metadata=outside)).agent
    assert found.card.version == everybodys.version


async def test_a_watch_of_an_outsider_that_goes_on_begins_with_what_it_may_know(
    discovery: Discovery, probe: KnownCards
) -> None:
    outside = (("x-lmos-outsider", "yes"), ("x-lmos-tenant", "acme"))
    others = probe.cards[OTHER] = card(version="2.0.0", tenants=frozenset({"other"}))
    lease = await discovery.client.register("billing-2", OTHER, others)
    async for message in discovery.stub.Watch(pb.WatchRequest(), metadata=outside):
        token = message.resume_token
        break
    await discovery.client.deregister(lease)
    async for message in discovery.stub.Watch(pb.WatchRequest(resume_token=token), metadata=outside):
        assert message.HasField("snapshot")
        break
