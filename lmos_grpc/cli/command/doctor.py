"""`lmos doctor`: is this machine fit to run a mesh, and if not, what to do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from lmos_grpc.cli import options
from lmos_grpc.cli.doctor import Verdict, examine
from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.cli.options import pass_invocation
from lmos_grpc.cli.output import printable
from lmos_grpc.cli.running import run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lmos_grpc.cli.doctor import Finding
    from lmos_grpc.cli.options import Invocation
    from lmos_grpc.cli.output import Output

_MARKS = {Verdict.OK: ("✓", "green"), Verdict.WARNING: ("!", "yellow"), Verdict.FAULT: ("✗", "bold red")}


@click.command()
@options.at_edge
@options.at_internal
@options.listening
@options.in_state
@options.as_json
@options.everywhere
@pass_invocation
def doctor(invocation: Invocation) -> ExitCode:
    r"""Check Envoy, ports, versions, clock and state, and say how to mend what is wrong.

    \b
    Example:
      lmos doctor
      lmos doctor --json
    """
    options.show_logs(verbose=invocation.verbose)
    findings = run(examine(invocation.settings(), os.environ))
    show_findings(invocation.output, findings)
    return ExitCode.ENVIRONMENT if any(each.verdict is Verdict.FAULT for each in findings) else ExitCode.OK


def show_findings(output: Output, findings: Iterable[Finding]) -> None:
    """Prints the findings, each with its remedy."""
    if output.json:
        for each in findings:
            line = {"check": each.check, "verdict": each.verdict.value, "found": each.found, "remedy": each.remedy}
            output.json_line(line)
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for each in findings:
        mark, style = _MARKS[each.verdict]
        found = Text(printable(each.found))
        if each.remedy:
            found.append(f"\n→ {printable(each.remedy)}", style)
        table.add_row(Text(mark, style), each.check, found)
    output.out.print(table)
