"""Registers the agents that are declared with an address, and do not register themselves."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.domain.declared_agent import EVERY_CHANNEL
from lmos_grpc.domain.instance import DEFAULT_LEASE_TTL, Load
from lmos_grpc.sdk.registration import Registration

if TYPE_CHECKING:
    from lmos_grpc.clients.discovery_client import DiscoveryClient
    from lmos_grpc.domain.card import AgentCard
    from lmos_grpc.domain.declared_agent import DeclaredAgent
    from lmos_grpc.domain.rules import Rules


class AgentsByProxy:
    """Holds a lease for each of them for as long as it is declared; health checks find those that are dead."""

    def __init__(self, client: DiscoveryClient) -> None:
        self._client = client
        self._declared: dict[str, DeclaredAgent] = {}
        self._changed = asyncio.Event()

    def use(self, rules: Rules) -> None:
        """Takes in who is declared now."""
        with_address = (each for agents in rules.agents.values() for each in agents if each.address)
        self._declared = {repr(replace(each, where="")): each for each in with_address}
        self._changed.set()

    async def run(self) -> None:
        """Registers and deregisters until it is cancelled."""
        tasks: dict[str, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                for place in tasks.keys() - self._declared.keys():
                    tasks.pop(place).cancel()
                for place in self._declared.keys() - tasks.keys():
                    tasks[place] = group.create_task(self._hold(self._declared[place]))
                self._changed.clear()
                await self._changed.wait()

    async def _hold(self, agent: DeclaredAgent) -> None:
        registration = Registration(self._client, card_of(agent), ttl=DEFAULT_LEASE_TTL, load=Load)
        async with registration.held(), registration.announced(agent.address, grace=timedelta(0)):
            await asyncio.Event().wait()


def card_of(agent: DeclaredAgent) -> AgentCard:
    """The card that it is registered with. That it serves no channel at all is for the rules to say."""
    channels = frozenset() if EVERY_CHANNEL in agent.channels else agent.channels
    return replace(agent.card, tenants=agent.tenants, channels=channels)
