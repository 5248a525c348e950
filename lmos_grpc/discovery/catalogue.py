"""Questions to the registry: one agent, a listing, who can do something."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from semantic_version import Version

from lmos_grpc.discovery.page_token import key_from_token, token_after
from lmos_grpc.discovery.registration import excerpt
from lmos_grpc.discovery.word_overlap import WordOverlap
from lmos_grpc.domain.card import DEFAULT_SUBSET, is_version
from lmos_grpc.domain.version_range import LONGEST_RANGE, VersionRange
from lmos_grpc.errors import InvalidVersionError, UnknownAgentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmos_grpc.clients.live_view import LiveView
    from lmos_grpc.domain.card import AgentCard, AgentKey, Capability
    from lmos_grpc.domain.instance import Agent

_parsed = lru_cache(maxsize=4_096)(Version)


@dataclass(frozen=True, slots=True)
class Audience:
    """For whom an agent is sought; an empty member does not restrict."""

    tenant: str = ""
    channel: str = ""
    locale: str = ""

    def is_served_by(self, card: AgentCard) -> bool:
        """Whether the agent of that card serves it."""
        return (
            (not self.tenant or not card.tenants or self.tenant in card.tenants)
            and (not self.channel or not card.channels or self.channel in card.channels)
            and (not self.locale or not card.locales or any(_same_language(self.locale, each) for each in card.locales))
        )


_EVERYBODY = Audience()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is sought; an empty member does not restrict."""

    capability: str = ""
    version_range: str = ""
    text: str = ""
    audience: Audience = _EVERYBODY


@dataclass(frozen=True, slots=True)
class Match:
    """A capability of an agent that fits, with its score from 0 to 1."""

    agent: Agent
    capability: Capability
    score: float


class Catalogue:
    """Answers from a view of the registry."""

    def __init__(self, view: LiveView) -> None:
        self._view = view
        self._overlap = WordOverlap()
        view.subscribe(self._forget_gone)

    def agent(self, name: str, *, version: str = "", subset: str = "", audience: Audience = _EVERYBODY) -> Agent:
        """One agent: of the version and subset given, else the highest version, stable where there is one.

        One that does not serve the audience is not there.

        Raises:
            InvalidVersionError: the version is no semantic version.
            UnknownAgentError: there is no such agent.
        """
        if version and not is_version(version):
            raise InvalidVersionError(f"version: {excerpt(version)} is not a semantic version such as 1.2.0")
        fitting = [
            agent
            for key, agent in self._view.agents_named(name).items()
            if version in {"", key.version} and subset in {"", key.subset} and audience.is_served_by(agent.card)
        ]
        if not fitting:
            wanted = (
                f"{excerpt(name)}" + (f" {version}" if version else "") + (f" in {excerpt(subset)}" if subset else "")
            )
            raise UnknownAgentError(
                f"no agent {wanted} is registered; ListAgents (`lmos agents`) shows who is", agent=name[:64]
            )
        return max(fitting, key=lambda each: (each.key.subset == DEFAULT_SUBSET, _order(each.key)))

    def agents_after(self, page_token: str, audience: Audience) -> Iterator[Agent]:
        """The agents that follow a page, in the order of name, version and subset. An empty token: all.

        Raises:
            InvalidPageTokenError: the token is not one of `page_token` for this audience.
        """
        last = key_from_token(page_token, audience) if page_token else None
        ordered = [
            (_order(key), agent)
            for key, agent in self._view.agents.items()
            if audience.is_served_by(agent.card) and (last is None or _order(key) > _order(last))
        ]
        heapq.heapify(ordered)
        while ordered:
            yield heapq.heappop(ordered)[1]

    def page_token(self, last: Agent, audience: Audience) -> str:
        """The token with which `agents_after` goes on after an agent."""
        return token_after(last.key, audience)

    def find(self, wanted: Wanted) -> list[Match]:
        """Capabilities of agents that are ready, best first.

        Raises:
            InvalidVersionError: the version range is no npm-style range.
        """
        accepted = _range(wanted.version_range)
        matches = [
            Match(agent, capability, score)
            for agent in self._view.agents.values()
            if agent.ready and wanted.audience.is_served_by(agent.card)
            for capability in agent.card.capabilities
            if wanted.capability in {"", capability.id} and _fits(capability, accepted)
            if (score := self._overlap.score(wanted.text, agent, capability)) > 0
        ]
        matches.sort(key=lambda each: (_order(each.agent.key), _precedence(each.capability.version)), reverse=True)
        matches.sort(key=lambda each: (-each.score, each.agent.key.name))
        return matches

    def _forget_gone(self, changed: frozenset[AgentKey]) -> None:
        for key in changed - self._view.agents.keys():
            self._overlap.forget(key)


def _order(key: AgentKey) -> tuple[str, tuple[object, ...], str, str]:
    # The text of the version tells builds apart (1.0.0+a and 1.0.0+b), which have no precedence.
    return (key.name, _precedence(key.version), key.version, key.subset)


def _precedence(version: str) -> tuple[object, ...]:
    without_build: tuple[object, ...] = _parsed(version).precedence_key[:4]
    return without_build


def _range(text: str) -> VersionRange:
    try:
        return VersionRange(text)
    except ValueError as error:
        raise InvalidVersionError(
            f"version_range: {excerpt(text)} is not an npm-style range such as ^1.2 or >=1.0.0 <2.0.0, "
            f"of at most {LONGEST_RANGE} characters"
        ) from error


def _fits(capability: Capability, accepted: VersionRange) -> bool:
    return accepted.takes(capability.version)


def _same_language(wanted: str, spoken: str) -> bool:
    """Whether one tag is the other or a wider form of it (RFC 4647): `de-AT` and `de`, but not `de-AT` and `de-CH`."""
    one, other = wanted.casefold(), spoken.casefold()
    return one == other or one.startswith(f"{other}-") or other.startswith(f"{one}-")
