"""`lmos demo`: a whole mesh, customers' requests through it, and whether all went as expected."""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lmos_grpc.cli import options
from lmos_grpc.cli.caller import call_mesh
from lmos_grpc.cli.demo.demo_request import read_requests
from lmos_grpc.cli.demo.demo_result import result_table
from lmos_grpc.cli.demo.demo_run import DemoRun
from lmos_grpc.cli.demo.finished_trace import finished_trace, is_whole
from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.cli.mesh.mesh import run_mesh
from lmos_grpc.cli.mesh.mesh_settings import MeshSettings
from lmos_grpc.cli.mesh.readiness import wait_for_agents
from lmos_grpc.cli.mesh.sample_agents import sample_agents_folder
from lmos_grpc.cli.options import pass_invocation
from lmos_grpc.cli.running import run
from lmos_grpc.cli.settings import MeshSection, Settings
from lmos_grpc.cli.view.agent_view import agent_table
from lmos_grpc.cli.view.figures import counted, span_text
from lmos_grpc.cli.view.trace_view import show_trace
from lmos_grpc.errors import EnvironmentFaultError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmos_grpc.cli.demo.demo_request import DemoRequest
    from lmos_grpc.cli.demo.demo_result import DemoResult
    from lmos_grpc.cli.mesh.mesh import RunningMesh
    from lmos_grpc.cli.options import Invocation
    from lmos_grpc.cli.output import Output

_START_LIMIT = timedelta(seconds=60)
_TRACE_LIMIT = timedelta(seconds=10)
_FILE = "demo_requests.yaml"
_RULES = "mesh.d"


@click.command()
@click.option("--requests", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Other requests.")
@options.as_json
@options.everywhere
@pass_invocation
def demo(invocation: Invocation, requests: Path | None) -> ExitCode:
    r"""Start a mesh with a real Envoy, send customers' requests through it, and show who answered what and why.

    It takes free ports and a directory of its own, and leaves nothing behind. Ends with 1 if an answer was not as
    expected.

    \b
    Example:
      lmos demo
    """
    options.show_logs(verbose=invocation.verbose)
    invocation.settings()  # a configuration that is wrong is told here as everywhere
    file = requests or _samples() / _FILE
    return run(play(read_requests(file), invocation.output, verbose=invocation.verbose))


def _samples() -> Path:
    folder = sample_agents_folder()
    if folder is None:
        raise EnvironmentFaultError(
            "the demo needs the sample agents, which are not installed with the package: clone the repository and "
            "run `make demo` there"
        )
    return folder


async def play(requests: tuple[DemoRequest, ...], output: Output, *, verbose: bool = False) -> ExitCode:
    """Plays the demo.

    Raises:
        LmosError: the mesh or an agent did not start, or the mesh refused a turn.
    """
    with tempfile.TemporaryDirectory(prefix="lmos-demo-") as folder:
        settings = MeshSettings(state=Path(folder), agents=(str(_samples()),), rules=(_samples() / _RULES,))
        began = time.monotonic()
        with _waiting(output, "starting the mesh and its agents …") as done:
            async with run_mesh(settings, tell=output.note, tell_log=output.note if verbose else _ignore) as mesh:
                await wait_for_agents(mesh, _START_LIMIT)
                done()
                _show_mesh(output, mesh, timedelta(seconds=time.monotonic() - began))
                results = await _send_all(requests, output, mesh)
                await _show_widest_trace(output, mesh, results)
    return _conclude(output, results)


@contextmanager
def _waiting(output: Output, text: str) -> Iterator[Callable[[], None]]:
    """A spinner on a terminal, a line elsewhere, until it is told that the waiting is over."""
    status = output.err.status(text) if output.err.is_terminal else None
    if status is None:
        output.note(text)
        yield lambda: None
        return
    status.start()
    try:
        yield status.stop
    finally:
        status.stop()


def _ignore(_line: str) -> None:
    pass


def _show_mesh(output: Output, mesh: RunningMesh, took: timedelta) -> None:
    if output.json:
        return
    agents = mesh.view.agents.values()
    output.line(
        f"The mesh is up after {span_text(took)}: a real Envoy at {mesh.edge}, {counted(len(agents), 'agent')}."
    )
    output.out.print(agent_table(sorted(agents, key=lambda each: each.card.name)))


async def _send_all(requests: tuple[DemoRequest, ...], output: Output, mesh: RunningMesh) -> list[DemoResult]:
    settings = Settings(mesh=MeshSection(edge=mesh.edge, internal=mesh.internal, state=mesh.state))
    async with call_mesh(settings) as caller:
        demo_run = DemoRun(caller, output, mesh.state)
        results: list[DemoResult] = []
        for request in requests:
            results.append(await demo_run.send(request))
            if output.json:
                output.json_line(results[-1].json)
        return results


async def _show_widest_trace(output: Output, mesh: RunningMesh, results: list[DemoResult]) -> None:
    """Shows the trace of the turn that fanned out most, as one tree."""
    if output.json or not results:
        return
    widest = max(results, key=lambda each: (each.branches, len(each.agents)))
    trace = await finished_trace(mesh.state, widest.trace_id, _TRACE_LIMIT, lambda each: is_whole(each, widest.agents))
    output.line("")
    output.line(f"■ One whole trace: {widest.request.title}", "bold")
    if trace is not None:
        show_trace(output.out, trace)


def _conclude(output: Output, results: list[DemoResult]) -> ExitCode:
    failed, count = [each for each in results if each.complaint], counted(len(results), "request")
    if not output.json:
        output.line("")
        output.out.print(result_table(results))
        output.line("")
        if failed:
            output.line(f"{len(failed)} of {count} went otherwise than expected.", "bold red")
        else:
            output.line(f"All {count} went as expected.", "bold green")
    return ExitCode.FAILURE if failed else ExitCode.OK
