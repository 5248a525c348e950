"""Public data as catalogues of agents, with labelled phrases to learn from and others to be judged by."""

from __future__ import annotations

import csv
import json
import random
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmos_grpc.domain.card import AgentCard, Capability

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

WHERE_FROM = """The data is public and not kept in this repository:
  clinc150/train.tsv, val.tsv, oos_train.tsv, oos_val.tsv (text, tab, intent; with a head line), domains.json:
    data/data_full.json and data/domains.json of https://github.com/clinc/oos-eval (CC BY 3.0)
  lmos-router/train.csv, agentRoutingSpecs.json:
    benchmarks/ of https://github.com/eclipse-lmos/lmos-router (Apache-2.0)
Put both folders into one and name it with --data."""

_VALIDATION_SHARE = 5  # one of five of the LMOS requests is judged by, for their test split is theirs


class DataMissingError(Exception):
    """The data is not where it was said to be."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A phrase and the capability it is for; None: nobody's."""

    text: str
    capability: str | None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Capabilities by agent with their descriptions, phrases to learn from, and phrases to be judged by."""

    name: str
    agents: Mapping[str, Mapping[str, str]]
    training: Mapping[str, Sequence[str]]
    judged: Sequence[Labelled]

    def cards(self, examples: int | None, seed: int = 0) -> list[AgentCard]:
        """The agents, each capability with so many examples drawn by chance; None: with all."""
        return [
            AgentCard(
                agent,
                "1.0.0",
                capabilities=tuple(
                    Capability(each, "1.0.0", about, examples={"en": self._drawn(each, examples, seed)})
                    for each, about in capabilities.items()
                ),
            )
            for agent, capabilities in self.agents.items()
        ]

    def agent_of(self, capability: str | None) -> str | None:
        """Who offers it."""
        return next((agent for agent, offered in self.agents.items() if capability in offered), None)

    def _drawn(self, capability: str, examples: int | None, seed: int) -> tuple[str, ...]:
        phrases = list(dict.fromkeys(self.training[capability]))
        random.Random(f"{seed} {capability}").shuffle(phrases)  # noqa: S311 - a draw that can be repeated
        return tuple(phrases[: len(phrases) if examples is None else examples])


def read_catalogues(folder: Path) -> dict[str, Catalogue]:
    """All catalogues in the folder, by name.

    Raises:
        DataMissingError: the data is not there; the message says where it comes from.
    """
    try:
        return {each.name: each for each in (*_clinc(folder / "clinc150"), _lmos(folder / "lmos-router"))}
    except OSError as error:
        raise DataMissingError(f"{error.filename} cannot be read.\n{WHERE_FROM}") from error


def _clinc(folder: Path) -> tuple[Catalogue, Catalogue]:
    domains = json.loads((folder / "domains.json").read_text("utf-8"))
    training = defaultdict(list)
    for text, intent in _lines(folder / "train.tsv"):
        training[_label(intent)].append(text)
    judged = [Labelled(text, _label(intent)) for text, intent in _lines(folder / "val.tsv")]
    judged += [Labelled(text, None) for text, _ in _lines(folder / "oos_val.tsv")]
    intents = {
        _label(domain): {_label(each): each.replace("_", " ") for each in some} for domain, some in domains.items()
    }
    alone = {f"{each}-agent": {each: about} for some in intents.values() for each, about in some.items()}
    return (
        Catalogue("CLINC150, 150 agents", alone, training, judged),
        Catalogue("CLINC150, 10 agents", intents, training, judged),
    )


def _lmos(folder: Path) -> Catalogue:
    specs = json.loads((folder / "agentRoutingSpecs.json").read_text("utf-8"))
    agents = {
        spec["name"]: {_label(each["name"]): each["description"] for each in spec["capabilities"]} for spec in specs
    }
    with (folder / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["instruction"], row["agent"], _label(row["intent"])) for row in csv.DictReader(file)]
    random.Random(0).shuffle(rows)  # noqa: S311 - a split that can be repeated
    training: dict[str, list[str]] = defaultdict(list)
    judged = []
    for number, (text, agent, intent) in enumerate(rows):
        agents[agent].setdefault(intent, intent.replace("-", " "))
        if number % _VALIDATION_SHARE:
            training[intent].append(text)
        else:
            judged.append(Labelled(text, intent))
    return Catalogue("LMOS router, 11 agents", agents, training, judged)


def _lines(file: Path) -> list[tuple[str, str]]:
    with file.open(encoding="utf-8") as lines:
        next(lines)
        return [(text, label) for text, _, label in (line.rstrip("\n").partition("\t") for line in lines)]


def _label(name: str) -> str:
    return name.replace("_", "-").lower()
