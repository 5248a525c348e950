"""How agents look: a table of all, and one in full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from lmos_grpc.cli.output import printable
from lmos_grpc.cli.view.figures import ago_text
from lmos_grpc.domain.card import DEFAULT_SUBSET
from lmos_grpc.domain.instance import EPOCH_START

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from rich.console import Console

    from lmos_grpc.domain.card import AgentCard, AgentKey
    from lmos_grpc.domain.instance import Agent, Instance

_SHOWN_PHRASES = 3


def key_text(key: AgentKey) -> str:
    """An agent as people write it: name and version, and the subset where it is not the stable one."""
    return f"{key.name} {key.version}" + (f" ({key.subset})" if key.subset != DEFAULT_SUBSET else "")


def agent_table(agents: Iterable[Agent]) -> Table:
    """All agents, a row each."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("AGENT", "VERSION", "SUBSET", "STATE", "INSTANCES"):
        table.add_column(heading, no_wrap=True)
    table.add_column("CAPABILITIES", overflow="fold")
    for agent in agents:
        card = agent.card
        state = Text("ready", "green") if agent.ready else Text("draining", "yellow")
        capabilities = ", ".join(each.id for each in card.capabilities)
        count = str(len(agent.instances))
        table.add_row(*map(printable, (card.name, card.version, card.subset)), state, count, printable(capabilities))
    return table


def show_agent(console: Console, agent: Agent, now: datetime) -> None:
    """Prints one agent in full: its card, its capabilities with examples, its instances."""
    card = agent.card
    console.print(Text(printable(key_text(card.key)), "bold"))
    for name, value in _facts(card):
        console.print(Text(f"{name:<12} {printable(value)}"), soft_wrap=True)
    for capability in card.capabilities:
        console.print(Text.assemble("\n", (printable(f"{capability.id} {capability.version}"), "cyan")))
        if capability.description:
            console.print(Text(f"  {printable(capability.description)}"), soft_wrap=True)
        for locale, phrases in sorted(capability.examples.items()):
            said = " · ".join(f"“{each}”" for each in phrases[:_SHOWN_PHRASES])
            more = f" … {len(phrases) - _SHOWN_PHRASES} more" if len(phrases) > _SHOWN_PHRASES else ""
            console.print(Text(printable(f"  {locale}: {said}{more}"), "dim"), soft_wrap=True)
    console.print()
    console.print(_instance_table(agent.instances, now))


def _facts(card: AgentCard) -> list[tuple[str, str]]:
    could = (("hand over", card.may_hand_over), ("converse live", card.converses), ("listen", card.listens))
    may = [word for word, can in could if can]
    facts = (
        ("what", card.description),
        ("from", " ".join(each for each in (card.provider_organization, card.provider_url) if each)),
        ("tenants", ", ".join(sorted(card.tenants)) or "all"),
        ("channels", ", ".join(sorted(card.channels)) or "all"),
        ("languages", ", ".join(card.locales) or "any"),
        ("may", ", ".join(may)),
        ("labels", ", ".join(f"{key}={value}" for key, value in sorted(card.labels.items()))),
    )
    return [(name, value) for name, value in facts if value]


def _instance_table(instances: Iterable[Instance], now: datetime) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("INSTANCE", "ADDRESS", "STATE", "TURNS", "EPOCH", "REGISTERED"):
        table.add_column(heading, no_wrap=True)
    for each in instances:
        capacity = f"/{each.load.capacity}" if each.load.capacity else ""
        registered = ago_text(each.registered_at, now) if each.registered_at > EPOCH_START else ""
        table.add_row(
            printable(each.instance_id),
            printable(each.address) or "(not told)",
            each.state.value,
            f"{each.load.active_turns}{capacity}",
            str(each.lease.epoch),
            registered,
        )
    return table
