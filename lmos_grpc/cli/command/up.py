"""`lmos up`: a whole mesh on this machine, until Ctrl-C."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from lmos_grpc.cli import options
from lmos_grpc.cli.arrivals import Arrivals
from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.cli.mesh.mesh import run_mesh
from lmos_grpc.cli.mesh.mesh_settings import MeshSettings
from lmos_grpc.cli.mesh.sample_agents import sample_agents_folder
from lmos_grpc.cli.options import pass_invocation
from lmos_grpc.cli.running import run, stop_signals

if TYPE_CHECKING:
    from lmos_grpc.cli.arrivals import Arrival
    from lmos_grpc.cli.mesh.mesh import RunningMesh
    from lmos_grpc.cli.options import Invocation
    from lmos_grpc.cli.output import Output

_STYLES = {"+": "green", "-": "yellow", "~": "yellow", "!": "red"}


@click.command()
@options.at_edge
@options.at_internal
@options.in_state
@options.listening
@click.option("--agents", multiple=True, metavar="DIR|FILE|MODULE", help="Start these agents; may be repeated.")
@click.option("--no-agents", is_flag=True, help="Start none: agents register themselves.")
@click.option("--fallback-agent", metavar="NAME", help="Who gets the turns that fit nobody.")
@options.express_lane
@options.durable
@click.option("--routers", metavar="N", help="Of the express lane, as processes of their own [default: one inside].")
@options.edge_options
@options.as_json
@options.everywhere
@pass_invocation
def up(
    invocation: Invocation,
    agents: tuple[str, ...],
    fallback_agent: str | None,
    routers: str | None,
    *,
    no_agents: bool,
) -> ExitCode:
    r"""Bring up a whole mesh beside one Envoy, and keep it running until Ctrl-C.

    In a checkout it starts the sample agents, unless --agents or --no-agents says otherwise.

    \b
    Example:
      lmos up
      lmos up --express
      lmos up --no-agents --edge 127.0.0.1:9080
    """
    options.show_logs(verbose=invocation.verbose)
    settings = invocation.settings(
        mesh__fallback_agent=fallback_agent, mesh__routers=routers, agents=agents or (() if no_agents else None)
    )
    return run(stay_up(MeshSettings.of(settings), invocation.output, verbose=invocation.verbose))


async def stay_up(settings: MeshSettings, output: Output, *, verbose: bool = False) -> ExitCode:
    """Runs the mesh and tells what happens, a line each, until Ctrl-C or SIGTERM.

    Raises:
        LmosError: the mesh did not start, or a part of it ended by itself.
    """
    reporter = _Reporter(output)
    _tell_agents(settings, reporter)
    with stop_signals() as stop, ExitStack() as announced:
        async with run_mesh(settings, tell=reporter.say, tell_log=reporter.log if verbose else _ignore) as mesh:
            reporter.ready(mesh)
            # Until after the drain, so that agents are seen to leave.
            announced.enter_context(Arrivals(mesh.view, reporter.arrival).announced())
            await stop.wait()
            reporter.say("draining: agents, edge, servers, stores (Ctrl-C again ends at once)")
    reporter.say("stopped")
    return ExitCode.OK


def _ignore(_line: str) -> None:
    pass


def _tell_agents(settings: MeshSettings, reporter: _Reporter) -> None:
    folder = sample_agents_folder()
    if settings.agents is None and folder is not None:
        reporter.say(f"starting the sample agents in {folder}")
    elif settings.agents:
        reporter.say(f"starting {', '.join(settings.agents)}")


class _Reporter:
    """One line per event, with its time; or one JSON object."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def say(self, text: str) -> None:
        """Something that people should know."""
        if self._output.json:
            self._output.json_line({"event": "note", "text": text})
        else:
            time = datetime.now(UTC).astimezone().strftime("%H:%M:%S")
            self._output.line(f"{time} {text}", _STYLES.get(text[:1], ""))

    def log(self, line: str) -> None:
        """A line of an agent's log."""
        self._output.note(line)

    def arrival(self, change: Arrival) -> None:
        """An agent came, changed or went."""
        if self._output.json:
            self._output.json_line({"event": "agent", **change.json})
        else:
            self.say(change.text)

    def ready(self, mesh: RunningMesh) -> None:
        """Tells where the mesh is, and what to try."""
        if self._output.json:
            addresses = {"edge": mesh.edge, "internal": mesh.internal, "otlp": mesh.otlp, "metrics": mesh.metrics}
            self._output.json_line({"event": "ready", **addresses, "state": str(mesh.state)})
            return
        self.say("the mesh is up")
        for name, value in (
            ("edge", mesh.edge),
            ("internal", f"{mesh.internal}  (for agents)"),
            ("metrics", f"http://{mesh.metrics}/metrics"),
            ("state", str(mesh.state)),
        ):
            self._output.line(f"  {name:<9} {value}")
        for line in _suggestions(mesh.edge):
            self._output.line(f"  {line}", "dim")


def _suggestions(edge: str) -> tuple[str, ...]:
    body = '{"message":{"parts":[{"text":"why is my bill so high this month?"}]}}'
    method = "lmos.agent.v1.AgentService/Invoke"
    return (
        'try:      lmos ask "why is my bill so high this month?"',
        f"          grpcurl -plaintext -d '{body}' {edge} {method}",
        f"          buf curl --http2-prior-knowledge --protocol grpc -d '{body}' http://{edge}/{method}",
        f"          curl -N -H 'content-type: application/json' -d '{body}' http://{edge}/{method}",
    )
