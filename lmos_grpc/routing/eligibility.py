"""Who may have a turn, worked out once for each tenant, channel and subset, and anew when registry or rules change."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lmos_grpc.errors import ChannelUnresolvedError
from lmos_grpc.routing.governance import govern
from lmos_grpc.routing.versions import EVERY_VERSION, CardRange

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lmos_grpc.clients.live_view import LiveView
    from lmos_grpc.domain.instance import Agent
    from lmos_grpc.routing.governance import Governed
    from lmos_grpc.routing.terms import Terms

_MOST_CONTEXTS = 256


class Eligibility:
    """Answers from what it has worked out before; `forget` when any of it may not hold any more."""

    def __init__(self, view: LiveView) -> None:
        self._view = view
        self._known: dict[tuple[str, ...], Governed] = {}

    def forget(self) -> None:
        """Works out everything anew from now on."""
        self._known.clear()

    def governed(self, terms: Terms, *, capability: str = "", version_range: str = "") -> Governed:
        """Who may have a turn on these terms; with a capability, only of those that offer it.

        Raises:
            InvalidVersionError: the range is not one.
            ChannelUnresolvedError: the channel is strict, and something that it requires is not there.
        """
        self._check_resolved(terms)
        return self._kept(terms, capability, version_range)

    def _check_resolved(self, terms: Terms) -> None:
        channel = terms.channel
        if channel is None or not channel.strict:
            return
        # Where the turn has been before says nothing about what is there.
        anywhere = replace(terms, context=replace(terms.context, visited=()))
        missing = self._kept(anywhere).story.unresolved
        if missing:
            raise ChannelUnresolvedError(
                f"the channel {channel.name} ({channel.where}) is strict, and not all that it requires is there: "
                f"{'; '.join(missing)}. Start an agent that offers it, or make the channel partial.",
                channel=channel.channel,
                missing=", ".join(each.partition(":")[0] for each in missing),
            )

    def _kept(self, terms: Terms, capability: str = "", version_range: str = "") -> Governed:
        context = terms.context
        asker = "operator" if context.operator else "tenant"
        place = (asker, context.tenant, context.channel, terms.subset, capability, version_range, *context.visited)
        found = self._known.get(place)
        if found is None:
            versions = CardRange(version_range, capability=capability) if version_range else EVERY_VERSION
            found = govern(self._offering(capability), terms, versions)
            if len(self._known) >= _MOST_CONTEXTS:  # callers make up contexts as they like
                del self._known[next(iter(self._known))]
            self._known[place] = found
        return found

    def _offering(self, capability: str) -> Iterable[Agent]:
        agents = self._view.agents.values()
        return (each for each in agents if not capability or each.card.capability(capability))
