"""The report: what the parts found, as one page with pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.part_result import RecordedPart
from bench.targets import verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_ORDER = ("paths", "fan-out", "control-plane", "growth", "peers", "transport", "ivr")
_HEAD = """# What was measured

Each figure is the median of the rounds, with the lowest and the highest in brackets. What is compared ran in turns
(A B A B) in one run on one machine; only ratios within one part say anything. How to read them: [README](README.md).
"""


def record(part: RecordedPart, folder: Path) -> None:
    """Keeps a part and its pictures in `folder`/results, and writes `folder`/RESULTS.md anew from all that is there."""
    results = folder / "results"
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{part.result.name}.json").write_text(part.to_json(), "utf-8")
    for chart in part.result.charts:
        (results / f"{chart.name}.svg").write_text(chart.svg(), "utf-8")
    parts = [RecordedPart.from_json(each.read_text("utf-8")) for each in results.glob("*.json")]
    (folder / "RESULTS.md").write_text(page(parts), "utf-8")


def page(parts: Iterable[RecordedPart]) -> str:
    """All parts as Markdown."""
    ordered = sorted(parts, key=lambda part: _ORDER.index(part.result.name))
    figures = {f"{each.result.name}.{key}": value for each in ordered for key, value in each.result.key_figures.items()}
    return "\n".join((_HEAD, str(verdicts(figures)), "", *(line for part in ordered for line in _part(part))))


def _part(part: RecordedPart) -> Iterator[str]:
    result = part.result
    yield f"## {result.name}\n\n{result.about}\n"
    for chart in result.charts:
        yield f"![{chart.title}](results/{chart.name}.svg)\n"
    for table in result.tables:
        yield f"{table}\n"
    for note in result.notes:
        yield f"* {note}"
    machine = " · ".join(f"{name} {value}" for name, value in part.machine.items())
    yield f"\n{part.date}, `{part.command}`, {part.seconds:.0f} s. {machine}\n"
