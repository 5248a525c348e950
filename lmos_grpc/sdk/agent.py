"""An agent as its author writes it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar, Unpack

from lmos_grpc.domain.card import DEFAULT_SUBSET, AgentCard
from lmos_grpc.errors import UnknownCapabilityError
from lmos_grpc.sdk.offer import CapabilityFunction, make_offer, offers_of_methods

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lmos_grpc.sdk.offer import Details, Offer
    from lmos_grpc.sdk.settings import AgentSettings

_Function = TypeVar("_Function", bound=CapabilityFunction)


class Agent:
    """Who an agent is, and the functions that answer for it.

    Either decorate functions:

        agent = Agent("billing-agent", version="1.2.0", description="Explains invoices and payments.")

        @agent.capability("explain-bill", version="1.0.0", examples={"en": ["why is my bill so high"]})
        async def explain_bill(turn: Turn) -> AsyncIterator[str]:
            yield "Let me look at your bill."

    or write a subclass whose methods are decorated with `capability`, and give its instance to the mesh.
    Empty `locales`, `tenants` and `channels` mean all. With `records_turns` the agent tells the mesh of each turn whose
    answer went straight to the caller (the express lane), before it ends, so that the next turn's history has it.
    With `listens` the functions of the agent can stay with a live session (`Turn.inputs`).
    """

    def __init__(
        self,
        name: str,
        *,
        version: str,
        description: str = "",
        provider: str = "",
        provider_url: str = "",
        locales: Sequence[str] = (),
        tenants: Iterable[str] = (),
        channels: Iterable[str] = (),
        subset: str = DEFAULT_SUBSET,
        labels: Mapping[str, str] | None = None,
        may_hand_over: bool = False,
        records_turns: bool = False,
        listens: bool = False,
    ) -> None:
        self._identity = AgentCard(
            name=name,
            version=version,
            description=description,
            provider_organization=provider,
            provider_url=provider_url,
            locales=tuple(locales),
            tenants=frozenset(tenants),
            channels=frozenset(channels),
            subset=subset,
            labels=dict(labels or {}),
            may_hand_over=may_hand_over,
            records_turns=records_turns,
            converses=True,
            listens=listens,
        )
        self._offers: list[Offer] = list(offers_of_methods(self))

    @property
    def name(self) -> str:
        """The name by which the mesh knows the agent."""
        return self._identity.name

    @property
    def card(self) -> AgentCard:
        """Who the agent is and what it can do, as it tells the mesh."""
        return replace(self._identity, capabilities=tuple(offer.capability for offer in self._offers))

    def capability(
        self,
        id: str,  # noqa: A002 # the contract's word
        **details: Unpack[Details],
    ) -> Callable[[_Function], _Function]:
        """Offers a function as a capability; it takes a `Turn` and answers as `lmos_grpc.capability` says."""

        def offer(function: _Function) -> _Function:
            self._offers.append(make_offer(id, function, details))
            return function

        return offer

    def pick(self, capability_id: str) -> Offer:
        """The offer that answers a turn: the one asked for; else the default one; else the first.

        Raises:
            UnknownCapabilityError: the agent has no such capability, or none at all.
        """
        fitting = [each for each in self._offers if each.capability.id == capability_id or not capability_id]
        if not fitting:
            known = ", ".join(each.capability.id for each in self._offers) or "none"
            raise UnknownCapabilityError(
                f"{self.name} has no capability {capability_id!r}; it has: {known}", agent=self.name
            )
        return next((each for each in fitting if each.default), fitting[0])

    def run(self, settings: AgentSettings | None = None) -> None:
        """Serves the agent until SIGTERM or Ctrl-C, then drains and returns: the last line of `python my_agent.py`.

        Raises:
            LmosError: the agent cannot be served, such as for a card that breaks a rule.
        """
        # The agent is what it is without a server; only who runs it needs one.
        from lmos_grpc.sdk.serving import run_agents  # noqa: PLC0415 # serving is built on agents

        run_agents((self,), settings)
