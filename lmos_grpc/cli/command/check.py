"""`lmos check`: are files of tenants, channels and agents sound, before a mesh is given them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lmos_grpc.cli import options
from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.cli.options import pass_invocation
from lmos_grpc.cli.view.figures import counted
from lmos_grpc.declarations import json_schema, read_rules

if TYPE_CHECKING:
    from lmos_grpc.cli.options import Invocation
    from lmos_grpc.cli.output import Output
    from lmos_grpc.declarations import Reading


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE|DIR]...")
@click.option("--schema", is_flag=True, help="Print the format as JSON Schema, for editors, and check nothing.")
@options.as_json
@options.everywhere
@pass_invocation
def check(invocation: Invocation, files: tuple[Path, ...], *, schema: bool) -> ExitCode:
    r"""Check files and folders that declare tenants, channels and agents: everything that is wrong, each with its line.

    Without a FILE it checks those that the configuration names. Ends with 2 if anything is wrong.

    \b
    Example:
      lmos check agents/mesh.d
      lmos check --schema > lmos.schema.json
    """
    options.show_logs(verbose=invocation.verbose)
    if schema:
        invocation.output.json_line(json_schema())
        return ExitCode.OK
    paths = files or tuple(map(Path, invocation.settings().rules))
    if not paths:
        raise click.UsageError("there is nothing to check: name a FILE or a DIR, or set `rules` in lmos.yaml")
    reading = read_rules(paths)
    show_reading(invocation.output, reading)
    return ExitCode.USAGE if reading.problems else ExitCode.OK


def show_reading(output: Output, reading: Reading) -> None:
    """Prints every problem on a line of its own, then how it stands."""
    for each in reading.problems:
        if output.json:
            output.json_line({"file": each.file, "line": each.line, "column": each.column, "message": each.message})
        else:
            output.line(str(each), "red")
    if output.json:
        return
    files = counted(reading.files, "file")
    if reading.problems:
        output.note(f"{counted(len(reading.problems), 'problem')} in {files}")
    else:
        output.line(f"{files}, all sound: {reading.summary}", "green")
