"""Checks a registration before it is taken: what it says, and who answers at its address."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from lmos_grpc.discovery.registration import check_registration, excerpt
from lmos_grpc.errors import AgentUnreachableError, CardMismatchError, LmosError

if TYPE_CHECKING:
    from lmos_grpc.discovery.registration import Registration
    from lmos_grpc.discovery.registry import Registry
    from lmos_grpc.domain.card import AgentCard

ANSWER_TIME = timedelta(seconds=2)
_PROBES_AT_ONCE = 100
_CAUSE = 160


class CardProbe(Protocol):
    """Asks an address who it is."""

    async def card_at(self, address: str, *, timeout: timedelta) -> AgentCard:
        """The card of the agent at an address.

        Raises:
            LmosError: nobody answered in time, or not as an agent.
        """


class RegistrationVerifier:
    """Lets through what keeps the rules and answers at its address with the name and version that it registers."""

    def __init__(self, registry: Registry, probe: CardProbe, *, answer_time: timedelta = ANSWER_TIME) -> None:
        self._registry = registry
        self._probe = probe
        self._answer_time = answer_time
        self._turnstile = asyncio.Semaphore(_PROBES_AT_ONCE)

    async def verify(self, registration: Registration, *, time_left: timedelta) -> None:
        """Checks a registration; what holds a live lease already is not asked again.

        Raises:
            InvalidRequestError: instance id, address, TTL or epoch break a rule.
            InvalidCardError: the card breaks rules.
            StaleEpochError, DuplicateInstanceError: a live lease is in the way.
            AgentUnreachableError: the address does not answer `GetAgentCard`.
            CardMismatchError: it answers with another name or version.
        """
        check_registration(registration)
        self._registry.check_free(registration)
        if not self._registry.holds(registration):
            await self._compare(registration, min(self._answer_time, time_left))

    async def _compare(self, registration: Registration, limit: timedelta) -> None:
        told, card = await self._ask(registration, limit), registration.card
        if (told.name, told.version) != (card.name, card.version):
            raise CardMismatchError(
                f"{registration.address} says that it is {excerpt(told.name)} {excerpt(told.version)}, and not "
                f"{card.name} {card.version}; check address and card",
                agent=card.name,
                address=registration.address,
            )

    async def _ask(self, registration: Registration, limit: timedelta) -> AgentCard:
        async with self._turnstile:
            try:
                return await self._probe.card_at(registration.address, timeout=limit)
            except LmosError as error:
                raise AgentUnreachableError(
                    f"{registration.address} did not answer lmos.agent.v1.AgentService/GetAgentCard within "
                    f"{limit.total_seconds():g} s: {excerpt(error.message, _CAUSE)}. Serve it before registering, at "
                    "an address that discovery can dial.",
                    agent=registration.card.name,
                    address=registration.address,
                ) from error
