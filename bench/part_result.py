"""What one part of the benchmark found."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from bench.bar_chart import Bar, BarChart, BarGroup
from bench.figure import Figure
from bench.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class PartResult:
    """Tables and pictures for people, and by name the figures that targets are about (None: not in this run)."""

    name: str
    about: str
    tables: tuple[Table, ...]
    charts: tuple[BarChart, ...] = ()
    key_figures: Mapping[str, float | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordedPart:
    """A result with how it came about."""

    result: PartResult
    date: str
    command: str
    machine: Mapping[str, str]
    seconds: float

    def to_json(self) -> str:
        """All of it, for the next report and for programs."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> RecordedPart:
        """What `to_json` wrote."""
        read = json.loads(text)
        return cls(**{**read, "result": _result(read["result"])})


def _result(read: dict[str, Any]) -> PartResult:  # Any: JSON values
    tables = tuple(
        Table(each["title"], tuple(each["head"]), tuple(tuple(row) for row in each["rows"])) for each in read["tables"]
    )
    charts = tuple(
        BarChart(each["name"], each["title"], tuple(_group(group) for group in each["groups"]))
        for each in read["charts"]
    )
    return PartResult(read["name"], read["about"], tables, charts, read["key_figures"], tuple(read["notes"]))


def _group(read: dict[str, Any]) -> BarGroup:  # Any: JSON values
    return BarGroup(read["name"], tuple(Bar(bar["name"], Figure(**bar["figure"])) for bar in read["bars"]))
