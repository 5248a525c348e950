"""`python -m bench.regression`: what moved since the baseline, and whether anything got worse by more than noise."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figure import NOTHING, plain
from bench.part_result import RecordedPart
from bench.table import Table
from bench.targets import TARGETS
from bench.toolchain import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.targets import Target

_BASELINE = ROOT / "bench" / "baseline.json"
_TOLERANCE = 0.3  # identical arms differ by a fifth on a machine that is not alone


@dataclass(frozen=True, slots=True)
class Moved:
    """One figure in the baseline and now; `better_by` is the share by which it improved (below zero: it got worse)."""

    target: Target
    before: float | None
    now: float | None

    @property
    def better_by(self) -> float | None:
        """None where one of the two was not measured."""
        if not self.before or not self.now:
            return None
        share = self.now / self.before - 1
        return share if self.target.at_least else -share

    def verdict(self, tolerance: float) -> str:
        """What to say of it."""
        if self.better_by is None:
            return "not to compare"
        if abs(self.better_by) <= tolerance:
            return "same"
        return "better" if self.better_by > 0 else "WORSE"


def compare(before: Mapping[str, float | None], now: Mapping[str, float | None]) -> tuple[Moved, ...]:
    """All figures that have a target."""
    return tuple(Moved(each, before.get(each.key), now.get(each.key)) for each in TARGETS)


def table(moved: tuple[Moved, ...], tolerance: float) -> Table:
    """The comparison for people."""
    rows = tuple(
        (each.target.about, _shown(each.before), _shown(each.now), _share(each.better_by), each.verdict(tolerance))
        for each in moved
    )
    return Table("What moved", ("figure", "baseline", "now", "better by", "verdict"), rows)


def figures_in(folder: Path) -> dict[str, float | None]:
    """The figures of the last run, as `part.key`."""
    return dict(_figures(folder))


def _figures(folder: Path) -> Iterator[tuple[str, float | None]]:
    for path in sorted((folder / "results").glob("*.json")):
        part = RecordedPart.from_json(path.read_text("utf-8"))
        for key, value in part.result.key_figures.items():
            yield f"{part.result.name}.{key}", value


def _shown(value: float | None) -> str:
    return NOTHING if value is None else plain(value)


def _share(value: float | None) -> str:
    return NOTHING if value is None else f"{value:+.0%}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.regression", description="Compare the last run of the benchmark with the baseline."
    )
    parser.add_argument("--out", type=Path, default=ROOT / "bench", help="where the report of the run is")
    parser.add_argument("--baseline", type=Path, default=_BASELINE, help="the file with the baseline")
    parser.add_argument("--tolerance", type=float, default=_TOLERANCE, help="share that counts as noise [default: 0.3]")
    parser.add_argument("--set", action="store_true", help="make the last run the baseline")
    return parser.parse_args()


def main() -> int:
    """Compares; 1 where a figure got worse by more than the tolerance."""
    asked = _arguments()
    now = figures_in(asked.out)
    if asked.set:
        asked.baseline.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n", "utf-8")
        print(f"the baseline is {asked.baseline}")
        return 0
    try:
        before = json.loads(asked.baseline.read_text("utf-8"))
    except FileNotFoundError:
        print(f"error: there is no baseline {asked.baseline}; make one with --set", file=sys.stderr)
        return 1
    moved = compare(before, now)
    print(table(moved, asked.tolerance))
    return int(any(each.verdict(asked.tolerance) == "WORSE" for each in moved))


if __name__ == "__main__":
    sys.exit(main())
