"""How an evaluation looks: the figures, each label with who got it, and the worst mistakes with their phrases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from lmos_grpc.cli.evaluation import Verdict
from lmos_grpc.cli.output import printable

if TYPE_CHECKING:
    from lmos_grpc.cli.evaluation import Evaluation
    from lmos_grpc.cli.output import Output

_MOST_CONFUSIONS = 10
_MOST_PHRASES = 3


def show_evaluation(output: Output, evaluation: Evaluation) -> None:
    """Prints the evaluation."""
    output.line(
        f"{len(evaluation.judged)} phrases: accuracy {evaluation.accuracy:.3f}, coverage {evaluation.coverage:.3f}, "
        f"precision {evaluation.precision:.3f}",
        "bold",
    )
    output.line(" · ".join(f"{evaluation.count(each)} {each.value}" for each in Verdict))
    output.out.print()
    output.out.print(_confusion_table(evaluation))
    for (expected, got), count in evaluation.confusions()[:_MOST_CONFUSIONS]:
        output.out.print()
        output.line(f"{count} times {expected} → {got}", "bold")
        for each in _examples(evaluation, expected, got)[:_MOST_PHRASES]:
            output.line(f"  “{each.phrase.text}”: {each.decision.reason}")


def evaluation_json(evaluation: Evaluation) -> dict[str, Any]:  # Any: JSON values
    """The evaluation for scripts."""
    return {
        "phrases": len(evaluation.judged),
        "accuracy": round(evaluation.accuracy, 4),
        "coverage": round(evaluation.coverage, 4),
        "precision": round(evaluation.precision, 4),
        **{each.name.lower(): evaluation.count(each) for each in Verdict},
        "table": {expected: dict(row) for expected, row in evaluation.table().items()},
        "mistakes": [
            {
                "text": each.phrase.text,
                "expected": each.phrase.expected,
                "got": each.got,
                "verdict": each.verdict.name.lower(),
                "reason": each.decision.reason,
            }
            for each in evaluation.judged
            if each.verdict is not Verdict.RIGHT
        ],
    }


def _confusion_table(evaluation: Evaluation) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("EXPECTED", no_wrap=True)
    for heading in ("PHRASES", "RIGHT"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("WHO GOT IT", overflow="fold")
    for expected, row in evaluation.table().items():
        right = sum(each.phrase.expected == expected and each.verdict is Verdict.RIGHT for each in evaluation.judged)
        got = ", ".join(f"{name} {count}" for name, count in row.most_common())
        table.add_row(printable(expected), str(row.total()), str(right), printable(got))
    return table


def _examples(evaluation: Evaluation, expected: str, got: str) -> list[Any]:  # Any: judged phrases
    return [
        each
        for each in evaluation.judged
        if each.verdict is not Verdict.RIGHT and (each.phrase.expected, each.got) == (expected, got)
    ]
