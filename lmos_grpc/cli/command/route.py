"""`lmos route`: who would get a turn, and why, without running it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from lmos_grpc.cli import options
from lmos_grpc.cli.caller import call_mesh
from lmos_grpc.cli.command.ask import LANES, hint_from
from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.cli.options import pass_invocation
from lmos_grpc.cli.running import run
from lmos_grpc.cli.view.decision_view import show_decision
from lmos_grpc.cli.view.json_form import decision_json

if TYPE_CHECKING:
    from lmos_grpc.cli.options import Invocation
    from lmos_grpc.cli.output import Output
    from lmos_grpc.cli.settings import Settings
    from lmos_grpc.domain.turn import RouteHint


@click.command()
@click.argument("text")
@click.option("--agent", default="", help="As if the caller had asked for this agent.")
@click.option("--capability", default="", help="As if the caller had asked for this capability.")
@click.option("--lane", type=click.Choice(LANES), help="As if the caller had asked for this lane.")
@click.option("--conversation", default="", metavar="ID", help="As the next turn of this conversation.")
@options.as_caller
@options.at_edge
@options.in_state
@options.as_json
@options.everywhere
@pass_invocation
def route(
    invocation: Invocation, *, text: str, agent: str, capability: str, lane: str | None, conversation: str
) -> ExitCode:
    r"""Explain who would get TEXT, and on which lane: candidates, scores, and what kept the others out.

    \b
    Example:
      lmos route "my internet has been down since yesterday"
    """
    options.show_logs(verbose=invocation.verbose)
    hint = hint_from(agent, capability, lane)
    return run(explain(invocation.settings(), invocation.output, text, hint, conversation))


async def explain(
    settings: Settings, output: Output, text: str, hint: RouteHint, conversation_id: str = ""
) -> ExitCode:
    """Asks for the decision on a text and shows it.

    Raises:
        LmosError: the mesh did not answer, or the hint names what does not exist.
    """
    async with call_mesh(settings) as caller:
        turn = replace(caller.turn(text, conversation_id=conversation_id), hint=hint)
        decision = await caller.orchestrator.explain_route(turn)
    if output.json:
        output.json_line(decision_json(decision))
    else:
        show_decision(output.out, decision)
    return ExitCode.OK
