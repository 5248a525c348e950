"""`python -m bench.routing`: how well and how fast the router decides, into ROUTING.md."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.bar_chart import Bar, BarChart, BarGroup
from bench.figure import Figure
from bench.machine import describe_machine
from bench.part_result import PartResult, RecordedPart
from bench.progress import showing
from bench.routing.catalogue import DataMissingError, read_catalogues
from bench.routing.published import PUBLISHED
from bench.routing.scoring import score
from bench.routing.two_intents import split_shares, splits_table
from bench.table import Table
from lmos_grpc.routing import LexicalEmbeddingClassifier, RoutingSettings, SecondLook, sentence_classifier

if TYPE_CHECKING:
    from bench.progress import PartProgress
    from bench.routing.catalogue import Catalogue
    from bench.routing.scoring import Scored
    from lmos_grpc.routing import Classifier

_ROOT = Path(__file__).parents[2]
_EXAMPLES = (0, 1, 5, 10, 100)
_SIZES = ((10, 100), (100, 100), (1_000, 100), (10_000, 10))
_RECALL = 0.6
_PRECISION = 0.99
_ACCEPT = RoutingSettings().accept


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.routing", description="Measure how the router decides.")
    parser.add_argument("--data", type=Path, default=_ROOT.parent / "shared/data/routing", help="where the data is")
    parser.add_argument("--examples", default=",".join(map(str, _EXAMPLES)), help="examples for each capability")
    parser.add_argument("--sizes", default=",".join(f"{size}x{each}" for size, each in _SIZES), help="of the meshes")
    parser.add_argument("--sentence", action="store_true", help="measure the sentence model, too (an extra)")
    parser.add_argument("--out", type=Path, default=_ROOT / "bench", help="where the report goes [default: bench]")
    return parser.parse_args()


def _classifiers(*, sentence: bool) -> dict[str, Classifier]:
    if not sentence:
        return {"default": LexicalEmbeddingClassifier()}
    model = sentence_classifier()
    return {
        "default": LexicalEmbeddingClassifier(),
        "with the sentence model": SecondLook(LexicalEmbeddingClassifier(), model),
    }


class _Quality(NamedTuple):
    table: Table
    at_default: list[tuple[str, ...]]
    chart: BarChart
    keys: dict[str, float | None]


def _quality(catalogue: Catalogue, examples: list[int], progress: PartProgress, *, sentence: bool) -> _Quality:
    head = ("examples", "classifier", "capability", "agent", "threshold", "capability there", "out of scope declined")
    rows, bars, keys, at_default = [], [], dict[str, float | None](), []
    for count in examples:
        cards = catalogue.cards(count)
        for name, classifier in _classifiers(sentence=sentence).items():
            classifier.sync({each.key: each for each in cards})
            scored = score(classifier, cards, catalogue)
            recall = scored.out_of_scope_recall(0.0) is not None
            at = scored.threshold_for_recall(_RECALL) if recall else scored.threshold_for_precision(_PRECISION)
            told = scored.out_of_scope_recall(at) if recall else None
            rows.append(
                (
                    str(count),
                    name,
                    f"{scored.accuracy():.3f}",
                    f"{scored.accuracy(capability=False):.3f}",
                    f"{at:.2f}",
                    f"{scored.accuracy(at):.3f}",
                    f"{told:.2f}"
                    if told is not None
                    else f"coverage {scored.coverage(at):.3f}, precision {scored.precision(at):.3f}",
                )
            )
            accuracy = scored.accuracy(at) if recall else scored.accuracy(capability=False)
            bars.append(BarGroup(f"{count} examples", (Bar(name, Figure(accuracy, accuracy, accuracy)),)))
            keys[f"{catalogue.name}.{count}.{name}"] = round(accuracy, 4)
            at_default.append((catalogue.name, str(count), name, *_at_default(scored), _curve(classifier)))
            progress.done(f"{catalogue.name}, {count} examples, {name}")
    short = "".join(each if each.isalnum() else "-" for each in catalogue.name.lower()).replace("--", "-")
    title = (
        f"{catalogue.name}: right, at the threshold of the table"
        if catalogue.agent_of(None) is None
        else catalogue.name
    )
    chart = BarChart(f"routing-{short}", title, tuple(bars))
    return _Quality(Table(catalogue.name, head, tuple(rows)), at_default, chart, keys)


def _at_default(scored: Scored) -> tuple[str, ...]:
    declined, at_once = scored.out_of_scope_recall(_ACCEPT), scored.at_once(_ACCEPT)
    share = len(at_once.found) / sum(each.in_scope for each in scored.found)
    return (
        f"{scored.accuracy(_ACCEPT):.3f}",
        "-" if declined is None else f"{declined:.2f}",
        f"{share:.3f}",
        f"{at_once.precision(_ACCEPT):.3f}",
    )


def _curve(classifier: Classifier) -> str:
    if not isinstance(classifier, LexicalEmbeddingClassifier):
        return "-"
    curve = classifier.curve
    found = f", {curve.found / curve.left_out:.3f} of {curve.left_out} left-out phrases found" if curve.left_out else ""
    return f"{curve.shift:+.2f}{found}"


def _table_at_default(rows: list[tuple[str, ...]]) -> Table:
    head = (
        "data",
        "examples",
        "classifier",
        "capability there",
        "out of scope declined",
        "taken without asking back",
        "agent right of these",
        "the mesh's own curve",
    )
    return Table(f"At the default threshold ({_ACCEPT})", head, tuple(rows))


def _splits(catalogue: Catalogue, progress: PartProgress, *, sentence: bool) -> Table:
    found = {}
    for count in (10, 100):
        for name, classifier in _classifiers(sentence=sentence).items():
            shares = split_shares(classifier, catalogue.cards(count), catalogue)
            found[f"{count} examples, {name}"] = shares
            progress.done(f"two intents, {count} examples")
    return splits_table(found)


def _growth(sizes: list[str], progress: PartProgress) -> Table:
    rows = []
    for size in sizes:
        command = [sys.executable, "-m", "bench.routing.growth", *size.split("x")]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=_ROOT).stdout)
        rows.append((size.replace("x", " with "), *(f"{told[key]:,.2f}" for key in told)))
        progress.done(f"{size} capabilities")
    head = (
        "capabilities with examples",
        "decision p50, ms",
        "p99, ms",
        "all learnt, s",
        "new agent wins, s",
        "memory, MB",
    )
    return Table("Time and memory", head, tuple(rows))


def main() -> int:
    """Measures and writes the report; gives the exit code."""
    asked = _arguments()
    try:
        catalogues = read_catalogues(asked.data)
    except DataMissingError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    examples = [int(each) for each in asked.examples.split(",")]
    sizes = [each for each in asked.sizes.split(",") if each]
    began = time.monotonic()
    with showing() as shown:
        progress = shown.part("routing")
        each = 2 if asked.sentence else 1
        progress.expect(len(catalogues) * len(examples) * each + 2 * each + len(sizes))
        quality = [_quality(one, examples, progress, sentence=asked.sentence) for one in catalogues.values()]
        splits = _splits(catalogues["CLINC150, 10 agents"], progress, sentence=asked.sentence)
        growth = _growth(sizes, progress)
    result = PartResult(
        "routing",
        "How often the right capability and the right agent come first on the validation splits, from how many "
        f"examples each. The threshold is the lowest at which {_RECALL:.0%} of what is out of scope is declined "
        f"(CLINC150), or {_PRECISION:.0%} of what is taken is right (LMOS).",
        (
            *(each.table for each in quality),
            _table_at_default([row for each in quality for row in each.at_default]),
            splits,
            growth,
            PUBLISHED,
        ),
        tuple(each.chart for each in quality),
        {key: value for each in quality for key, value in each.keys.items()},
        ("Test splits were not looked at; what is published is for test splits, which is not quite the same.",),
    )
    # Where the data and the report lie is nobody else's business.
    command = f"python -m bench.routing --examples {asked.examples} --sizes {asked.sizes}"
    part = RecordedPart(
        result, f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", command, describe_machine(), time.monotonic() - began
    )
    _write(part, asked.out)
    sys.stdout.write(f"the report is {asked.out / 'ROUTING.md'}\n")
    return 0


def _write(part: RecordedPart, out: Path) -> None:
    folder = out / "routing-results"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "routing.json").write_text(part.to_json(), "utf-8")
    lines = ["# How the router decides", "", part.result.about, ""]
    for chart in part.result.charts:
        (folder / f"{chart.name}.svg").write_text(chart.svg(), "utf-8")
        lines += [f"![{chart.title}](routing-results/{chart.name}.svg)", ""]
    lines += [f"{table}\n" for table in part.result.tables]
    lines += [f"* {note}" for note in part.result.notes]
    machine = " · ".join(f"{name} {value}" for name, value in part.machine.items())
    lines += ["", f"{part.date}, `{part.command}`, {part.seconds:.0f} s. {machine}", ""]
    (out / "ROUTING.md").write_text("\n".join(lines), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
