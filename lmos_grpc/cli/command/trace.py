"""`lmos trace`: the last traces, and one of them as a tree."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from lmos_grpc.cli import options
from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.cli.mesh.whereabouts import TRACES
from lmos_grpc.cli.options import pass_invocation
from lmos_grpc.cli.view.trace_view import show_trace, summary_json, trace_json, trace_table
from lmos_grpc.errors import InvalidRequestError
from lmos_grpc.traces import open_span_reader

if TYPE_CHECKING:
    from lmos_grpc.cli.options import Invocation
    from lmos_grpc.cli.output import Output
    from lmos_grpc.traces import SpanReader, Trace

LAST = "last"
_WRITTEN_LATELY = 20


@click.command()
@click.argument("trace_id", default="", metavar="[ID]")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="How many to list.")
@options.in_state
@options.as_json
@options.everywhere
@pass_invocation
def trace(invocation: Invocation, trace_id: str, limit: int) -> ExitCode:
    r"""List the last traces, or show the one of this ID as a tree. The start of an id is enough; `last` works.

    \b
    Example:
      lmos trace
      lmos trace last
      lmos trace 3f2a
    """
    path = invocation.settings().mesh.state / TRACES
    with open_span_reader(path) as reader:
        if trace_id:
            show_one(reader, invocation.output, trace_id)
        else:
            list_traces(reader, invocation.output, limit)
    return ExitCode.OK


def list_traces(reader: SpanReader, output: Output, limit: int) -> None:
    """Lists the last traces."""
    found = reader.list_traces(limit)
    if output.json:
        for each in found:
            output.json_line(summary_json(each))
    elif found:
        output.out.print(trace_table(found, datetime.now(UTC)))
    else:
        output.note('no traces yet; make one with `lmos ask "…"`')


def show_one(reader: SpanReader, output: Output, trace_id: str) -> None:
    """Shows one trace.

    Raises:
        InvalidRequestError: there is no such trace, or several ids start so.
    """
    found = find_trace(reader, trace_id)
    if output.json:
        output.json_line(trace_json(found))
    else:
        show_trace(output.out, found)


def find_trace(reader: SpanReader, trace_id: str) -> Trace:
    """The trace of that id or beginning of an id, or the last one.

    Raises:
        InvalidRequestError: there is no such trace, or several ids start so.
    """
    if trace_id == LAST:
        # The one that began last, which need not be the one that was written last: spans come in their own time.
        newest = reader.list_traces(_WRITTEN_LATELY)
        trace_id = newest[0].trace_id if newest else LAST
    found = reader.get_trace(trace_id)
    if found is not None:
        return found
    several = ", ".join(each[:12] for each in reader.matching_ids(trace_id))
    if several:
        raise InvalidRequestError(f"several traces begin with {trace_id!r}: {several}; give more of the id")
    raise InvalidRequestError(f"no trace begins with {trace_id!r}; `lmos trace` lists those that are kept")
