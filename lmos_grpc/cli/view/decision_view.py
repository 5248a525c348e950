"""How a routing decision looks: what was decided and why, and every candidate with what kept it out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from lmos_grpc.cli.output import printable
from lmos_grpc.cli.view.figures import span_text
from lmos_grpc.domain.decision import Exclusion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from lmos_grpc.domain.decision import Candidate, Decision, Governance, Target

_NOTE_WIDTH = 20


def decision_line(decision: Decision) -> str:
    """The decision in one line."""
    targets = ", ".join(target_name(each) for each in decision.targets)
    strategy = f" ({decision.strategy.kind.value})" if len(decision.targets) > 1 else ""
    head = f"{decision.mode.value} → {targets}{strategy}" if targets else decision.mode.value
    return printable(f"{head}: {decision.reason}" if decision.reason else head)


def target_name(target: Target) -> str:
    """Agent and capability of a target."""
    return f"{target.agent}/{target.capability}" if target.capability else target.agent


def show_decision(console: Console, decision: Decision) -> None:
    """Prints the decision with all its candidates."""
    console.print(Text(decision_line(decision), "bold"), soft_wrap=True)
    for target in decision.targets:
        if target.text:
            console.print(Text(f"  {target_name(target)} is given: “{printable(target.text)}”"), soft_wrap=True)
    by = f"by {decision.classifier} " if decision.classifier else ""
    took = f"decided {by}in {span_text(decision.elapsed)} · {decision.lane.value} lane"
    console.print(Text(took, "dim"), soft_wrap=True)
    for line in governance_lines(decision.governance):
        console.print(Text(line, "dim"), soft_wrap=True)
    if decision.candidates:
        console.print()
        # Where it is narrow, a column for what kept a candidate out would be a letter wide.
        table = candidate_table(decision)
        if console.measure(table).minimum <= console.width - _NOTE_WIDTH:
            console.print(table)
        else:
            _show_candidates(console, decision)


def governance_lines(governance: Governance | None) -> Iterator[str]:
    """What the rules made of the turn, a line each; nothing where no rule made anything of it."""
    if governance is None:
        return
    excluded = ", ".join(f"{count} by {each.value}" for each, count in governance.excluded.items())
    if governance.channel or excluded:
        rules = f"by the rules of {governance.channel}" if governance.channel else "by the agents' own rules"
        out = f" · kept out: {excluded}" if excluded else ""
        yield printable(f"{rules}: subset {governance.subset} · {governance.allowed} may have it{out}")
    for missing in governance.unresolved:
        yield printable(f"unresolved: {missing}")


def _show_candidates(console: Console, decision: Decision) -> None:
    for each in decision.candidates:
        mark, agent, version, capability, score, *notes = _row(each)
        line = Text(f"{mark or ' '} {score} {agent} {version} {capability}", _style(each))
        console.print(line, soft_wrap=True)
        for note in filter(None, notes):
            console.print(Text(f"       {note}", "dim"), soft_wrap=True)


def candidate_table(decision: Decision) -> Table:
    """The candidates, a row each, as they are ranked."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("", "AGENT", "VERSION", "CAPABILITY"):
        table.add_column(heading, no_wrap=True)
    table.add_column("SCORE", justify="right", no_wrap=True)
    table.add_column("KEPT OUT BY")
    table.add_column("NOTE", overflow="fold")
    for each in decision.candidates:
        table.add_row(*_row(each), style=_style(each))
    return table


def _row(candidate: Candidate) -> tuple[str, ...]:
    version = candidate.version if candidate.subset == "stable" else f"{candidate.version} {candidate.subset}"
    kept_out = "" if candidate.exclusion is Exclusion.NONE else candidate.exclusion.value
    return (
        "✓" if candidate.chosen else "",
        printable(candidate.agent),
        printable(version),
        printable(candidate.capability),
        f"{candidate.score:.2f}",
        kept_out,
        printable(candidate.reason),
    )


def _style(candidate: Candidate) -> str:
    if candidate.chosen:
        return "green"
    return "" if candidate.exclusion is Exclusion.NONE else "dim"
