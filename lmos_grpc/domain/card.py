"""Who an agent is and what it can do, with the rules that every card keeps."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from semantic_version import Version  # semver.org, and npm-style ranges elsewhere

from lmos_grpc.domain.version_range import semantic_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_SUBSET = "stable"

_LABEL = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
_MAX_TEXT = 2_000
_MAX_VERSION = 64
_MAX_CAPABILITIES = 100
_MAX_PHRASES = 1_000
_MAX_PHRASE = 500
_MAX_LOCALES = 50
_MAX_TENANTS = 1_000
_MAX_CHANNELS = 100
_MAX_SCHEMA = 65_536


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing that an agent can do; `examples` maps a BCP 47 tag to what customers say."""

    id: str
    version: str
    description: str = ""
    name: str = ""
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    input_modes: tuple[str, ...] = ()
    output_modes: tuple[str, ...] = ()
    input_schema: str = ""


@dataclass(frozen=True, slots=True)
class AgentKey:
    """What tells one agent from another: name, version and subset. Instances with one key are interchangeable."""

    name: str
    version: str
    subset: str = DEFAULT_SUBSET

    @property
    def route(self) -> str:
        """The value of `x-lmos-route`, which is also the name of the Envoy cluster."""
        return f"{self.name}/{self.version}/{self.subset}"

    @classmethod
    def from_route(cls, route: str) -> AgentKey | None:
        """The key that `route` came from, or None where it is no agent's route."""
        parts = route.split("/")
        return cls(*parts) if len(parts) == len(cls.__slots__) and all(parts) else None

    @property
    def precedence(self) -> tuple[Version, str]:
        """Orders keys by version, the highest last."""
        return (semantic_version(self.version), self.subset)


@dataclass(frozen=True, slots=True)
class AgentCard:
    """Who an agent is and what it can do. Empty `tenants`, `channels` and `locales` mean all."""

    name: str
    version: str
    description: str = ""
    capabilities: tuple[Capability, ...] = ()
    provider_organization: str = ""
    provider_url: str = ""
    locales: tuple[str, ...] = ()
    tenants: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    subset: str = DEFAULT_SUBSET
    may_hand_over: bool = False
    records_turns: bool = False
    converses: bool = False
    listens: bool = False
    key: AgentKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """The key, which all instances with this card share, is asked for far more often than cards are made."""
        object.__setattr__(self, "key", AgentKey(self.name, self.version, self.subset))

    def capability(self, capability_id: str) -> Capability | None:
        """The capability of that id, or None."""
        return next((each for each in self.capabilities if each.id == capability_id), None)


def card_violations(card: AgentCard) -> tuple[str, ...]:
    """What is wrong with a card, a sentence each, beginning with the field. Empty: the card is valid."""
    return (*_agent_violations(card), *(line for each in card.capabilities for line in _capability_violations(each)))


def is_label(text: str) -> bool:
    """Whether the text is a DNS label: lower-case letters, digits and dashes, a letter first, at most 63."""
    return _LABEL.fullmatch(text) is not None


def is_version(text: str) -> bool:
    """Whether the text is a semantic version."""
    try:
        # The parser also takes a line break at the end and digits of other scripts; a version travels in headers.
        return len(text) <= _MAX_VERSION and str(Version(text)) == text
    except ValueError:
        return False


def _agent_violations(card: AgentCard) -> Iterator[str]:
    if not is_label(card.name):
        yield f"name: {card.name!r} is not a DNS label (lower-case letters, digits and dashes, at most 63)"
    if not is_version(card.version):
        yield f"version: {card.version!r} is not a semantic version such as 1.2.0"
    if not is_label(card.subset):
        yield f"subset: {card.subset!r} is not a DNS label"
    if not 1 <= len(card.capabilities) <= _MAX_CAPABILITIES:
        yield f"capabilities: there are {len(card.capabilities)}, allowed are 1 to {_MAX_CAPABILITIES}"
    if len({each.id for each in card.capabilities}) < len(card.capabilities):
        yield "capabilities: two have the same id"
    yield from _too_long("description", card.description, _MAX_TEXT)
    sizes = (("locales", card.locales, _MAX_LOCALES), ("tenants", card.tenants, _MAX_TENANTS))
    for name, values, limit in (*sizes, ("channels", card.channels, _MAX_CHANNELS)):
        if len(values) > limit:
            yield f"{name}: there are {len(values)}, allowed are {limit}"


def _capability_violations(capability: Capability) -> Iterator[str]:
    where = f"capabilities[{capability.id}]"
    if not is_label(capability.id):
        yield f"{where}.id: {capability.id!r} is not a DNS label"
    if not is_version(capability.version):
        yield f"{where}.version: {capability.version!r} is not a semantic version such as 1.0.0"
    yield from _too_long(f"{where}.description", capability.description, _MAX_TEXT)
    yield from _too_long(f"{where}.input_schema", capability.input_schema, _MAX_SCHEMA)
    for locale, phrases in capability.examples.items():
        if len(phrases) > _MAX_PHRASES:
            yield f"{where}.examples[{locale}]: there are {len(phrases)}, allowed are {_MAX_PHRASES}"
        if any(not 0 < len(phrase) <= _MAX_PHRASE for phrase in phrases):
            yield f"{where}.examples[{locale}]: a phrase is empty or longer than {_MAX_PHRASE} characters"


def _too_long(where: str, text: str, limit: int) -> Iterator[str]:
    if len(text) > limit:
        yield f"{where}: has {len(text)} characters, allowed are {limit}"
