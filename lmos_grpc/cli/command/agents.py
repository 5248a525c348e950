"""`lmos agents`: who is there, one of them in full, and who comes and goes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from lmos_grpc.cli import options
from lmos_grpc.cli.arrivals import Arrivals
from lmos_grpc.cli.caller import call_mesh
from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.cli.options import pass_invocation
from lmos_grpc.cli.running import run
from lmos_grpc.cli.view.agent_view import agent_table, show_agent
from lmos_grpc.cli.view.json_form import agent_json
from lmos_grpc.clients.live_view import LiveView, keep_in_step

if TYPE_CHECKING:
    from lmos_grpc.cli.options import Invocation
    from lmos_grpc.cli.output import Output
    from lmos_grpc.cli.settings import Settings


@click.group(invoke_without_command=True)
@options.at_edge
@options.in_state
@options.as_json
@options.everywhere
@pass_invocation
@click.pass_context
def agents(context: click.Context, invocation: Invocation) -> ExitCode | None:
    r"""List the agents that are alive.

    \b
    Example:
      lmos agents
      lmos agents show billing-agent
      lmos agents watch
    """
    options.show_logs(verbose=invocation.verbose)
    if context.invoked_subcommand is not None:
        return None
    return run(list_agents(invocation.settings(), invocation.output))


@agents.command()
@click.argument("name")
@options.at_edge
@options.in_state
@options.as_json
@options.everywhere
@pass_invocation
def show(invocation: Invocation, name: str) -> ExitCode:
    r"""Show the agent NAME in full: card, capabilities, examples, instances.

    \b
    Example:
      lmos agents show billing-agent
    """
    return run(show_one(invocation.settings(), invocation.output, name))


@agents.command()
@options.at_edge
@options.in_state
@options.as_json
@options.everywhere
@pass_invocation
def watch(invocation: Invocation) -> ExitCode:
    r"""Print a line whenever an agent comes, changes or goes, until Ctrl-C.

    \b
    Example:
      lmos agents watch
    """
    return run(watch_agents(invocation.settings(), invocation.output))


async def list_agents(settings: Settings, output: Output) -> ExitCode:
    """Lists the agents.

    Raises:
        LmosError: the mesh did not answer.
    """
    async with call_mesh(settings, inside=True) as caller:
        found = await caller.discovery.list_agents()
    if output.json:
        for each in found:
            output.json_line(agent_json(each))
    elif found:
        output.out.print(agent_table(found))
    else:
        output.note("no agent is registered; start one with `lmos agent run PATH`")
    return ExitCode.OK


async def show_one(settings: Settings, output: Output, name: str) -> ExitCode:
    """Shows one agent.

    Raises:
        LmosError: the mesh did not answer, or has no such agent.
    """
    async with call_mesh(settings, inside=True) as caller:
        found = await caller.discovery.get_agent(name)
    if output.json:
        output.json_line(agent_json(found))
    else:
        show_agent(output.out, found, datetime.now(UTC))
    return ExitCode.OK


async def watch_agents(settings: Settings, output: Output) -> ExitCode:
    """Prints who comes and goes; only cancelling ends it.

    Raises:
        LmosError: the mesh did not answer at all.
    """
    async with call_mesh(settings, inside=True) as caller:
        # So that a mesh that is not there is an error and not a silence.
        await caller.discovery.list_agents()
        view = LiveView()
        arrivals = Arrivals(view, lambda change: _print_change(output, change.text, change.json))
        with arrivals.announced():
            await keep_in_step(view, caller.discovery)
    return ExitCode.OK


def _print_change(output: Output, text: str, as_json: dict[str, object]) -> None:
    if output.json:
        output.json_line(as_json)
    else:
        output.line(text)
