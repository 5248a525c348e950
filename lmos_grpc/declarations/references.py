"""What documents say of each other: each name once, and no name that there is not."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NamedTuple

from lmos_grpc.domain.card import card_violations

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lmos_grpc.declarations.problem import Problem
    from lmos_grpc.declarations.yaml_documents import YamlDocument
    from lmos_grpc.domain.channel import Channel
    from lmos_grpc.domain.declared_agent import DeclaredAgent
    from lmos_grpc.domain.tenant import Tenant


class Declarations(NamedTuple):
    """All that is declared, by kind."""

    tenants: Sequence[tuple[Tenant, YamlDocument]]
    channels: Sequence[tuple[Channel, YamlDocument]]
    agents: Sequence[tuple[DeclaredAgent, YamlDocument]]


def broken_references(found: Declarations, *, whole: bool) -> Iterator[Problem]:
    """Everything that does not fit together; what names name is looked up only where all is there (`whole`)."""
    yield from _duplicates(found)
    if whole:
        yield from _unknown_names(found)
    for agent, document in found.agents:
        yield from _incomplete(agent, document)


def _duplicates(found: Declarations) -> Iterator[Problem]:
    yield from _twice(
        ((f"the tenant {tenant.name}", document) for tenant, document in found.tenants), ("metadata", "name")
    )
    yield from _twice(
        ((f"the channel {each.name}", document) for each, document in found.channels), ("metadata", "name")
    )
    places = (
        (f"the subset {channel.subset} of the channel {channel.channel!r} of {_whose(tenant)}", document)
        for channel, document in found.channels
        for tenant in sorted(channel.tenants) or [""]
    )
    yield from _twice(places, ("metadata",))
    agents = (
        (" ".join(filter(None, (f"the agent {agent.card.name}", agent.version, agent.subset))), document)
        for agent, document in found.agents
    )
    yield from _twice(agents, ("metadata", "name"))


def _whose(tenant: str) -> str:
    return f"the tenant {tenant}" if tenant else "all tenants"


def _twice(named: Iterable[tuple[str, YamlDocument]], path: tuple[str, ...]) -> Iterator[Problem]:
    first: dict[str, YamlDocument] = {}
    for name, document in named:
        known = first.setdefault(name, document)
        if known is not document:
            yield document.problem(path, f"{name} is declared before, at {known.where}: keep one")


def _unknown_names(found: Declarations) -> Iterator[Problem]:
    tenants = {tenant.name for tenant, _ in found.tenants}
    channels = {channel.channel for channel, _ in found.channels}
    for tenant, document in found.tenants:
        yield from _unknown("channel", sorted(tenant.channels), channels, document, ("spec", "channels"))
    for channel, document in found.channels:
        listed = bool(document.value.get("spec", {}).get("tenants"))
        path = ("spec", "tenants") if listed else ("metadata", "labels", "tenant")
        yield from _unknown("tenant", sorted(channel.tenants), tenants, document, path)
    for agent, document in found.agents:
        yield from _unknown("tenant", sorted(agent.tenants), tenants, document, ("spec", "supportedTenants"))
        named = sorted(agent.channels - {"*"})
        yield from _unknown("channel", named, channels, document, ("spec", "supportedChannels"))


def _unknown(
    kind: str, names: Sequence[str], known: set[str], document: YamlDocument, path: tuple[str, ...]
) -> Iterator[Problem]:
    # Where none is declared there are all.
    for name in (each for each in names if known and each not in known):
        close = difflib.get_close_matches(name, known, n=1)
        meant = f"did you mean {close[0]!r}?" if close else f"declared are {', '.join(sorted(known))}"
        yield document.problem(_item(document, path, name), f"there is no {kind} {name!r}; {meant}")


def _item(document: YamlDocument, path: tuple[str, ...], name: str) -> tuple[str | int, ...]:
    """The path to an item of a list, by its value."""
    value = document.value
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return (*path, value.index(name)) if isinstance(value, list) and name in value else path


def _incomplete(agent: DeclaredAgent, document: YamlDocument) -> Iterator[Problem]:
    if not agent.address:
        return
    if not agent.version:
        yield document.problem(
            ("metadata", "labels"), "an agent with an address needs its version: say metadata.labels.version"
        )
    for violation in card_violations(agent.card):
        if agent.version or not violation.startswith("version"):
            yield document.problem(("spec", "providedCapabilities"), violation)
