"""`lmos route`: who would get a turn, and why, without running it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from lmos_grpc.cli import options
from lmos_grpc.cli.caller import call_mesh
from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.cli.hint_options import route_hint
from lmos_grpc.cli.options import pass_invocation
from lmos_grpc.cli.running import run
from lmos_grpc.cli.view.decision_view import show_decision
from lmos_grpc.cli.view.json_form import decision_json, why_not_json
from lmos_grpc.cli.view.why_not_view import show_why_not

if TYPE_CHECKING:
    from lmos_grpc.cli.caller import Caller
    from lmos_grpc.cli.options import Invocation
    from lmos_grpc.cli.output import Output
    from lmos_grpc.cli.settings import Settings
    from lmos_grpc.domain.turn import RouteHint, TurnRequest


@click.command()
@click.argument("text")
@route_hint
@click.option("--conversation", default="", metavar="ID", help="As the next turn of this conversation.")
@click.option("--subset", default="", metavar="NAME", help="As if the caller had asked for this subset.")
@click.option("--why-not", default="", metavar="AGENT", help="Tell all that keeps this agent from getting it.")
@options.as_caller
@options.at_edge
@options.in_state
@options.as_json
@options.everywhere
@pass_invocation
def route(
    invocation: Invocation,
    *,
    text: str,
    hint: RouteHint,
    conversation: str,
    subset: str,
    why_not: str,
) -> ExitCode:
    r"""Explain who would get TEXT, and on which lane: candidates, scores, and what kept the others out. The
    options are those of `lmos ask`: as if a caller had sent them.

    With --why-not it also tells all that keeps one agent out: rules of tenant and channel, versions, subset, readiness,
    a lower score.

    \b
    Example:
      lmos route "my internet has been down since yesterday"
      lmos route --strategy quorum:2 --hedge 300ms "is there an outage in my street?"
      lmos route --channel ivr --why-not contracts-agent "I want to cancel my contract"
    """
    options.show_logs(verbose=invocation.verbose)
    asked = Asked(text, hint, conversation, subset)
    if why_not:
        return run(explain_why_not(invocation.settings(), invocation.output, asked, why_not))
    return run(explain(invocation.settings(), invocation.output, asked))


@dataclass(frozen=True, slots=True)
class Asked:
    """The turn that is asked about."""

    text: str
    hint: RouteHint
    conversation_id: str = ""
    subset: str = ""

    def turn(self, caller: Caller) -> TurnRequest:
        """The turn as this caller would send it."""
        turn = caller.turn(self.text, conversation_id=self.conversation_id)
        return replace(turn, hint=self.hint, context=replace(turn.context, subset=self.subset))


async def explain(settings: Settings, output: Output, asked: Asked) -> ExitCode:
    """Asks for the decision on a text and shows it.

    Raises:
        LmosError: the mesh did not answer, or the turn can go to nobody.
    """
    async with call_mesh(settings, inside=True) as caller:
        decision = await caller.orchestrator.explain_route(asked.turn(caller))
    if output.json:
        output.json_line(decision_json(decision))
    else:
        show_decision(output.out, decision)
    return ExitCode.OK


async def explain_why_not(settings: Settings, output: Output, asked: Asked, agent: str) -> ExitCode:
    """Asks what keeps an agent from a turn and shows it.

    Raises:
        LmosError: the mesh did not answer, or has no such tenant or channel.
    """
    async with call_mesh(settings, inside=True) as caller:
        outcome, obstacles = await caller.orchestrator.why_not(asked.turn(caller), agent)
    if output.json:
        output.json_line(why_not_json(outcome, obstacles))
    else:
        show_why_not(output.out, agent, outcome, obstacles)
    return ExitCode.OK
