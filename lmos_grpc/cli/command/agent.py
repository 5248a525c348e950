"""`lmos agent run`: serves an agent and keeps it registered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lmos_grpc.cli import options
from lmos_grpc.cli.agent_loader import load_agent
from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.cli.mesh.whereabouts import find_mesh
from lmos_grpc.cli.options import pass_invocation
from lmos_grpc.cli.running import beside, end_with_parent, stop_signals
from lmos_grpc.cli.running import run as run_to_the_end
from lmos_grpc.cli.view.agent_view import key_text
from lmos_grpc.errors import ungrouped
from lmos_grpc.sdk import AgentSettings, ModelSettings, serve_agent

if TYPE_CHECKING:
    from lmos_grpc.cli.options import Invocation
    from lmos_grpc.cli.output import Output
    from lmos_grpc.cli.settings import ModelSection, Settings
    from lmos_grpc.sdk import Agent, ServedAgent


@click.group()
@options.unwrapped
def agent() -> None:
    r"""Run agents.

    \b
    Example:
      lmos agent run agents/billing/agent.py
    """


@agent.command()
@click.argument("target", metavar="PATH_OR_MODULE[:NAME]")
@click.option("--mesh", metavar="HOST:PORT", help="The mesh's internal listener [default: the one that runs here].")
@click.option("--alone", is_flag=True, help="Serve it without a mesh, to call it directly.")
@click.option("--listen", default="127.0.0.1:0", show_default=True, metavar="HOST:PORT", help="Where it listens.")
@click.option("--advertise", default="", metavar="HOST[:PORT]", help="Where the mesh reaches it, if not there.")
@click.option("--model", metavar="NAME", help="The model that `turn.llm` uses; its address is $OPENAI_BASE_URL.")
@click.option("--with-parent", is_flag=True, hidden=True, help="Drain when standard input ends.")
@options.insecure_listen
@options.in_state
@options.everywhere
@pass_invocation
def run(
    invocation: Invocation,
    *,
    target: str,
    mesh: str | None,
    listen: str,
    advertise: str,
    model: str | None,
    alone: bool,
    with_parent: bool,
) -> ExitCode:
    r"""Serve an agent, register it, and drain it on Ctrl-C or SIGTERM.

    The agent is found in a file, a folder (its agent.py) or a module; without :NAME it is the one called `agent`.

    \b
    Example:
      lmos agent run agents/billing/agent.py
      lmos agent run my_agents.billing:agent --mesh 127.0.0.1:8081 --listen 127.0.0.1:9001
    """
    options.show_logs(verbose=invocation.verbose)
    settings = invocation.settings(mesh__internal=mesh, model__name=model)
    found = load_agent(target)
    if with_parent:
        end_with_parent()
    told = agent_settings(settings, listen=listen, advertise=advertise, alone=alone)
    return run_to_the_end(serve_until_stopped(found, told, invocation.output))


async def serve_until_stopped(agent: Agent, settings: AgentSettings, output: Output) -> ExitCode:
    """Serves the agent and tells where, until Ctrl-C or SIGTERM; then drains it.

    Raises:
        LmosError: it cannot be served.
    """
    with stop_signals() as stop, ungrouped():
        async with serve_agent(agent, settings) as served:
            output.line(f"{key_text(served.card.key)} serves at {served.address}")
            async with beside(_tell_registered(served, settings, output)):
                await stop.wait()
            output.line("draining")
    return ExitCode.OK


async def _tell_registered(served: ServedAgent, settings: AgentSettings, output: Output) -> None:
    if settings.mesh is None:
        return
    output.line(f"registering with the mesh at {settings.mesh} …")
    await served.wait_registered()
    output.line("registered; Ctrl-C drains")


def agent_settings(settings: Settings, *, listen: str, advertise: str, alone: bool) -> AgentSettings:
    """How the agent is served, by what is set."""
    mesh = find_mesh(settings)
    return AgentSettings(
        listen=listen,
        mesh=None if alone else mesh.internal,
        advertise=advertise,
        insecure_listen=settings.mesh.insecure_listen,
        model=model_settings(settings.model),
        otlp_endpoint=mesh.otlp or None,
        record_text=settings.telemetry.record_text,
    )


def model_settings(section: ModelSection) -> ModelSettings | None:
    """The model that is set; None where none is."""
    if not section.name:
        return None
    if not section.base_url:
        return ModelSettings(section.name, api_key=section.api_key)
    return ModelSettings(section.name, base_url=section.base_url, api_key=section.api_key)
