"""`lmos serve`: one part of a mesh as a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lmos_grpc.cli import options
from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.cli.mesh.role import Role, run_role
from lmos_grpc.cli.options import pass_invocation
from lmos_grpc.cli.running import end_with_parent, run, stop_signals

if TYPE_CHECKING:
    from lmos_grpc.cli.options import Invocation
    from lmos_grpc.cli.output import Output
    from lmos_grpc.cli.settings import Settings


@click.command()
@click.argument("role", type=click.Choice([each.value for each in Role]), metavar="ROLE")
@click.option("--discovery", metavar="HOST:PORT", help="Where discovery listens [default: 127.0.0.1:9201].")
@click.option("--control-plane", metavar="HOST:PORT", help="The same for the control plane [default: 127.0.0.1:9202].")
@click.option("--orchestrator", metavar="HOST:PORT", help="The same for the orchestrator [default: 127.0.0.1:9203].")
@click.option("--traces", metavar="HOST:PORT", help="The same for the trace store [default: 127.0.0.1:4317].")
@click.option(
    "--router",
    metavar="HOST:PORT",
    help="The same for the router of the express lane; for envoy several, with commas [default: 127.0.0.1:9204].",
)
@click.option("--routers-apart", is_flag=True, help="Routers are processes of their own, not beside the orchestrator.")
@click.option("--fallback-agent", metavar="NAME", help="Who gets the turns that fit nobody.")
@click.option("--rules", multiple=True, metavar="PATH", help="Files and folders of tenants, channels and agents.")
@click.option("--with-parent", is_flag=True, hidden=True, help="Drain when standard input ends.")
@options.express_lane
@options.durable
@options.edge_options
@options.at_edge
@options.at_internal
@options.in_state
@options.listening
@options.as_json
@options.everywhere
@pass_invocation
def serve(
    invocation: Invocation,
    *,
    role: str,
    discovery: str | None,
    control_plane: str | None,
    orchestrator: str | None,
    router: str | None,
    traces: str | None,
    fallback_agent: str | None,
    rules: tuple[str, ...],
    routers_apart: bool,
    with_parent: bool,
) -> ExitCode:
    r"""Run one part of a mesh until Ctrl-C; it finds the others at their addresses, whenever they come.

    ROLE is discovery, control-plane, orchestrator, router, traces or envoy.

    The addresses say where a part listens and where the others look for it, so that all can be given the same.

    \b
    Example:
      lmos serve traces & lmos serve discovery & lmos serve control-plane &
      lmos serve orchestrator & lmos serve envoy
    """
    options.show_logs(verbose=invocation.verbose)
    settings = invocation.settings(
        mesh__fallback_agent=fallback_agent,
        serve__discovery=discovery,
        serve__control_plane=control_plane,
        serve__orchestrator=orchestrator,
        serve__router=router,
        serve__traces=traces,
        rules=rules or None,
        serve__routers_apart=routers_apart or None,
    )
    if with_parent:
        end_with_parent()
    return run(serve_role(Role(role), settings, invocation.output))


async def serve_role(role: Role, settings: Settings, output: Output) -> ExitCode:
    """Runs a part until Ctrl-C or SIGTERM.

    Raises:
        LmosError: it did not start, or ended by itself.
    """
    with stop_signals() as stop:
        async with run_role(role, settings) as addresses:
            if output.json:
                output.json_line({"event": "ready", "role": role.value, **addresses})
            else:
                output.line(f"{role.value} is up: {', '.join(f'{name} {value}' for name, value in addresses.items())}")
            await stop.wait()
            if not output.json:
                output.line("draining")
    return ExitCode.OK
