"""`lmos demo-ivr`: a telephone call to a mesh, made by a script."""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lmos_grpc.channels.voice.call_leg import CallEnd
from lmos_grpc.channels.voice.call_observer import NobodyLooks
from lmos_grpc.channels.voice.settings import VoiceSettings
from lmos_grpc.cli import options
from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.cli.ivr.call_record import CallRecord
from lmos_grpc.cli.ivr.phone import phone_call
from lmos_grpc.cli.ivr.scripted_caller import ScriptedCaller, call_the_service_desk
from lmos_grpc.cli.ivr.voice_part import VoicePartSettings, run_voice
from lmos_grpc.cli.mesh.mesh import run_mesh
from lmos_grpc.cli.mesh.mesh_settings import MeshSettings
from lmos_grpc.cli.mesh.readiness import wait_for_agents
from lmos_grpc.cli.mesh.sample_agents import sample_agents_folder
from lmos_grpc.cli.options import pass_invocation
from lmos_grpc.cli.running import run
from lmos_grpc.errors import EnvironmentFaultError
from lmos_grpc.telemetry import start_tracing

if TYPE_CHECKING:
    from lmos_grpc.channels.voice.call_leg import CallResult
    from lmos_grpc.cli.options import Invocation
    from lmos_grpc.cli.output import Output

_START_LIMIT = timedelta(seconds=60)
_CALL_LIMIT = timedelta(seconds=120)
_STYLES = {"caller": "bold magenta", "desk": "cyan"}


@click.command("demo-ivr")
@click.option(
    "--recording",
    default=Path("demo-ivr.wav"),
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where the recording goes.",
)
@options.everywhere
@pass_invocation
def demo_ivr(invocation: Invocation, recording: Path) -> ExitCode:
    r"""Start a mesh with a real Envoy and a voice edge, call it by telephone, and print the dialogue as it goes.

    The caller is a script with a synthesiser's voice, over AudioSocket as Asterisk speaks it. It asks, interrupts,
    types a number, is silent, and is transferred. The recording has the caller on the left and the desk on the right.
    Ends with 1 if the call did not end in a transfer.

    \b
    Example:
      lmos demo-ivr
    """
    options.show_logs(verbose=invocation.verbose)
    folder = sample_agents_folder()
    if folder is None:
        raise EnvironmentFaultError(
            "the demo needs the sample agents, which are not installed with the package: clone the repository and "
            "run `make demo-ivr` there"
        )
    return run(play_call(folder, recording, invocation.output))


@dataclass(slots=True)
class Dialogue(NobodyLooks):
    """A `CallObserver` that prints who says what, and when."""

    output: Output
    since: float = field(default_factory=time.monotonic)
    result: CallResult | None = None
    ended_call: asyncio.Event = field(default_factory=asyncio.Event)
    record: CallRecord = field(default_factory=CallRecord)

    def tell(self, who: str, what: str) -> None:
        """Prints a line."""
        self.output.line(f"{time.monotonic() - self.since:6.2f} s  {who:7} {what}", _STYLES.get(who, "dim"))

    def asked(self, call_id: str, text: str) -> None:
        """What the edge understood."""
        del call_id
        self.tell("", f"understood: {text}")

    def spoke(self, call_id: str, text: str) -> None:
        """What the caller hears."""
        del call_id
        self.tell("desk", text)

    def responded(self, call_id: str, after: timedelta) -> None:
        """How long the caller waited."""
        del call_id
        self.tell("", f"answered after {after / timedelta(milliseconds=1):.0f} ms")

    def recording(self, call_id: str, *, paused: bool) -> None:
        """The recording is made on the caller's side."""
        del call_id
        self.record.pause(paused=paused)
        self.tell("", "the recording pauses" if paused else "the recording goes on")

    def ended(self, call_id: str, result: CallResult) -> None:
        """How it ended."""
        del call_id
        self.result = result
        target = f" at {result.target}" if result.target else ""
        self.tell("", f"{result.end.value}{target}")
        self.ended_call.set()


async def play_call(agents: Path, recording: Path, output: Output) -> ExitCode:
    """Plays the call.

    Raises:
        LmosError: the mesh, an agent or the voice edge did not start.
    """
    with tempfile.TemporaryDirectory(prefix="lmos-demo-") as folder:
        settings = MeshSettings(state=Path(folder), agents=(str(agents),))
        output.note("starting the mesh, its agents and the speech engines …")
        async with run_mesh(settings, tell=output.note) as mesh:
            await wait_for_agents(mesh, _START_LIMIT)
            tracing = start_tracing("lmos-voice", endpoint=mesh.otlp, instance_id="voice-demo")
            dialogue = Dialogue(output)
            voice = VoiceSettings(no_input_after=timedelta(seconds=3))
            part = VoicePartSettings(edge=mesh.edge, voice=voice)
            async with tracing, run_voice(part, tracing.tracer, dialogue) as running:
                output.line(f"A caller dials {running.edge.address}.")
                dialogue.since = time.monotonic()
                async with phone_call(running.edge.address) as phone, asyncio.timeout(_CALL_LIMIT.total_seconds()):
                    dialogue.record = phone.record
                    figures = await call_the_service_desk(ScriptedCaller(phone, running.synthesiser, dialogue.tell))
                    await dialogue.ended_call.wait()
                    await asyncio.to_thread(phone.record.write_wav, recording)
    output.line("")
    output.out.print(figures.table())
    output.line(f"The recording is {recording}.")
    transferred = dialogue.result is not None and dialogue.result.end is CallEnd.TRANSFERRED
    return ExitCode.OK if transferred else ExitCode.FAILURE
