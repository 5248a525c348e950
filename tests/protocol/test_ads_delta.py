"""The delta protocol over a real stream, as an Envoy speaks it: one test per scenario."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import grpc.aio

from lmos_grpc.control_plane import AdsService
from lmos_grpc.control_plane.cluster import stand_in
from lmos_grpc.control_plane.envoy_messages import (
    ADS_METHOD,
    CLUSTER_TYPE,
    DeltaRequest,
    DeltaResponse,
    cluster_dict,
    read_response,
    write_request,
)
from lmos_grpc.domain.instance import Load
from tests.fakes.registry import FakeRegistry, instance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

ROUTE = "billing/1.0.0/stable"
HERE = instance("billing", "127.0.0.1:7001")
THERE = instance("billing", "127.0.0.1:7002")


class EnvoyStream:
    """The Envoy end of a delta stream."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        call = channel.stream_stream(
            "/{}/{}".format(*ADS_METHOD),
            request_serializer=write_request,
            response_deserializer=read_response,
        )
        self._call = call()

    async def says(self, request: DeltaRequest) -> None:
        await self._call.write(request)

    async def asks(self, *names: str, **held: str) -> None:
        await self.says(DeltaRequest(subscribe=names, initial_versions=held))

    async def hears(self) -> DeltaResponse:
        async with asyncio.timeout(5):
            response = await self._call.read()
        assert isinstance(response, DeltaResponse)
        return response

    async def hears_nothing_but_about(self, name: str) -> DeltaResponse:
        """Asks for what cannot exist: whatever was due before comes before the answer to that."""
        await self.asks(name)
        response = await self.hears()
        assert response.removed == (name,)
        return response

    async def hears_that_there_is_none(self, name: str) -> None:
        """Hears the stand-in that drops all calls."""
        assert (await self.hears()).resource == stand_in(name)

    async def takes(self, response: DeltaResponse) -> None:
        await self.says(DeltaRequest(nonce=response.nonce))

    async def refuses(self, response: DeltaResponse, why: str) -> None:
        await self.says(DeltaRequest(nonce=response.nonce, error=why))

    async def ends(self) -> grpc.StatusCode:
        await self._call.done_writing()
        async with asyncio.timeout(5):
            return await self._call.code()


@asynccontextmanager
async def connected(service: AdsService) -> AsyncIterator[EnvoyStream]:
    server = grpc.aio.server()
    service.add_to_server(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield EnvoyStream(channel)
    finally:
        await server.stop(0)


async def test_an_agent_that_envoy_asks_for_is_sent_as_a_cluster() -> None:
    async with connected(AdsService(FakeRegistry(HERE).view)) as envoy:
        await envoy.asks(ROUTE)
        response = await envoy.hears()
    assert response.resource is not None
    assert (response.resource.name, cluster_dict(response.resource.body)["name"]) == (ROUTE, ROUTE)


async def test_an_unknown_agent_is_answered_at_once() -> None:
    async with connected(AdsService(FakeRegistry().view)) as envoy:
        await envoy.asks("nobody/1.0.0/stable")
        await envoy.hears_that_there_is_none("nobody/1.0.0/stable")


async def test_an_agent_that_registers_later_is_sent_without_being_asked_for_again() -> None:
    registry = FakeRegistry()
    async with connected(AdsService(registry.view)) as envoy:
        await envoy.asks(ROUTE)
        await envoy.hears()
        registry.put(HERE)
        response = await envoy.hears()
    assert response.resource is not None


async def test_an_agent_that_goes_is_replaced_by_a_stand_in_and_sent_again_when_it_returns() -> None:
    registry = FakeRegistry(HERE)
    async with connected(AdsService(registry.view)) as envoy:
        await envoy.asks(ROUTE)
        first = await envoy.hears()
        registry.remove(HERE)
        await envoy.hears_that_there_is_none(ROUTE)
        registry.put(HERE)
        assert (await envoy.hears()).resource == first.resource


async def test_a_second_instance_is_a_new_version_and_a_new_load_is_none() -> None:
    registry = FakeRegistry(HERE)
    async with connected(AdsService(registry.view)) as envoy:
        await envoy.asks(ROUTE)
        first = await envoy.hears()
        registry.put(replace(HERE, load=Load(5, 10)))
        await envoy.hears_nothing_but_about("no-route")
        registry.put(THERE)
        second = await envoy.hears()
    assert first.resource
    assert second.resource
    assert first.resource.version != second.resource.version


async def test_changes_of_agents_that_envoy_did_not_ask_for_are_not_sent() -> None:
    registry = FakeRegistry(HERE)
    async with connected(AdsService(registry.view)) as envoy:
        await envoy.asks(ROUTE)
        await envoy.hears()
        registry.put(instance("contracts", "127.0.0.1:7003"))
        await envoy.hears_nothing_but_about("no-route")


async def test_before_the_registry_is_known_nothing_is_answered_and_so_nothing_is_taken_away() -> None:
    registry = FakeRegistry(synced=False)
    async with connected(AdsService(registry.view)) as envoy:
        await envoy.asks(ROUTE, "gone/1.0.0/stable", **{ROUTE: "some-version", "gone/1.0.0/stable": "x"})
        registry.put(instance("contracts", "127.0.0.1:7003"))
        registry.sync(HERE)
        update = await envoy.hears()
        await envoy.hears_that_there_is_none("gone/1.0.0/stable")
    assert update.resource
    assert update.resource.name == ROUTE
    assert update.resource != stand_in(ROUTE)


async def test_after_a_restart_only_the_difference_is_sent() -> None:
    registry = FakeRegistry(HERE)
    async with connected(AdsService(registry.view)) as envoy:
        await envoy.asks(ROUTE)
        held = (await envoy.hears()).resource
    assert held
    async with connected(AdsService(FakeRegistry(HERE).view)) as envoy:
        await envoy.asks(ROUTE, **{ROUTE: held.version})
        await envoy.hears_nothing_but_about("no-route")


async def test_a_refused_cluster_is_named_counted_and_answered_as_missing(caplog: pytest.LogCaptureFixture) -> None:
    refused: list[tuple[str, str]] = []
    registry = FakeRegistry(HERE, instance("contracts", "127.0.0.1:7003"))
    service = AdsService(registry.view, on_nack=lambda name, message: refused.append((name, message)))
    async with connected(service) as envoy:
        await envoy.asks(ROUTE, "contracts/1.0.0/stable")
        bad, good = await envoy.hears(), await envoy.hears()
        await envoy.refuses(bad, "port out of range")
        await envoy.takes(good)
        await envoy.hears_that_there_is_none(ROUTE)
        await envoy.asks(ROUTE)
        await envoy.hears_that_there_is_none(ROUTE)
        registry.put(THERE)
        healed = await envoy.hears()
    assert healed.resource
    assert refused == [(ROUTE, "port out of range")]
    assert f"{ROUTE}, version" in caplog.text


async def test_another_kind_of_resource_is_not_answered_and_disturbs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "lmos_grpc.control_plane.service")  # whatever a command-line test left behind
    async with connected(AdsService(FakeRegistry(HERE).view)) as envoy:
        await envoy.says(DeltaRequest(type_url="type.googleapis.com/envoy.config.listener.v3.Listener"))
        await envoy.asks(ROUTE)
        assert (await envoy.hears()).resource
    assert "envoy.config.listener.v3.Listener" in caplog.text
    assert CLUSTER_TYPE not in caplog.text


async def test_a_stream_that_envoy_ends_ends_well_and_is_forgotten() -> None:
    registry = FakeRegistry(HERE)
    async with connected(AdsService(registry.view)) as envoy:
        await envoy.asks(ROUTE)
        await envoy.hears()
        assert len(registry.view._listeners) == 1
        assert await envoy.ends() is grpc.StatusCode.OK
    assert registry.view._listeners == []


async def test_a_stream_that_breaks_is_forgotten() -> None:
    registry = FakeRegistry(HERE)
    async with connected(AdsService(registry.view)) as envoy:
        await envoy.asks(ROUTE)
        await envoy.hears()
    # A server that has stopped does not say when its cancelled handlers have ended (grpc/grpc#37239).
    async with asyncio.timeout(5):
        while registry.view._listeners:  # noqa: ASYNC110 # no event tells
            await asyncio.sleep(0.01)


async def test_two_envoys_are_told_each_what_it_asked_for() -> None:
    registry = FakeRegistry(HERE)
    service = AdsService(registry.view)
    async with connected(service) as one, connected(service) as other:
        await one.asks(ROUTE)
        await other.asks("contracts/1.0.0/stable")
        assert (await one.hears()).resource
        await other.hears_that_there_is_none("contracts/1.0.0/stable")
        registry.put(instance("contracts", "127.0.0.1:7003"))
        assert (await other.hears()).resource
        await one.hears_nothing_but_about("no-route")
