"""`lmos voice`: answers the telephone for a mesh."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from lmos_grpc.channels.voice.settings import VoiceSettings
from lmos_grpc.cli import options
from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.cli.ivr import speech_options
from lmos_grpc.cli.ivr.speech_options import about_speech, phrases_in_file, telephone_channel
from lmos_grpc.cli.ivr.voice_part import VoicePartSettings, run_voice
from lmos_grpc.cli.mesh.mesh_settings import MeshSettings
from lmos_grpc.cli.mesh.whereabouts import find_mesh
from lmos_grpc.cli.options import pass_invocation
from lmos_grpc.cli.running import run, stop_signals
from lmos_grpc.rpc import require_safe_address
from lmos_grpc.telemetry import start_tracing

if TYPE_CHECKING:
    from pathlib import Path

    from lmos_grpc.cli.options import Invocation
    from lmos_grpc.cli.output import Output


@click.command()
@click.option(
    "--listen", default="127.0.0.1:9092", show_default=True, metavar="HOST:PORT", help="Where Asterisk connects."
)
@click.option(
    "--agi", default="", metavar="HOST:PORT", help="Where Asterisk's FastAGI may ask, such as 127.0.0.1:9094."
)
@click.option("--greeting", default="", help="What callers hear first.")
@click.option("--transfer-to", default="", metavar="TARGET", help="Where callers go when the mesh is gone.")
@click.option("--max-calls", default=200, show_default=True, help="Calls at once; one too many is given back.")
@about_speech
@options.at_edge
@options.in_state
@options.listening
@options.as_caller
@options.as_json
@options.everywhere
@pass_invocation
def voice(
    invocation: Invocation,
    *,
    listen: str,
    agi: str,
    greeting: str,
    transfer_to: str,
    max_calls: int,
    phrases: Path | None,
    engine: str | None,
    speech_processes: int,
    speech_server: str,
    recogniser: str,
    synthesiser: str,
    speaker: str,
) -> ExitCode:
    r"""Answer telephone calls that Asterisk brings over AudioSocket, and let the mesh talk to the callers.

    Callers say what the cards of the agents give as examples; a grammar of these phrases recognises them, offline.
    After the call the dialplan goes on, for a transfer.

    \b
    Example:
      lmos voice --listen 127.0.0.1:9092
      exten => 100,1,Answer()                                        ; extensions.conf
       same => n,AudioSocket(${UUID()},127.0.0.1:9092)
       same => n,Queue(service-desk)
    """
    options.show_logs(verbose=invocation.verbose)
    settings = invocation.settings()
    for each in (listen, settings.mesh.metrics):
        require_safe_address(each, insecure_ok=settings.mesh.insecure_listen)
    if agi:
        require_safe_address(agi, insecure_ok=settings.mesh.insecure_listen)
    caller, mesh = settings.caller, find_mesh(settings)
    part = VoicePartSettings(
        edge=mesh.edge,
        listen=listen,
        agi=agi,
        voice=VoiceSettings(
            locale=caller.locale or "en",
            tenant=caller.tenant,
            channel=telephone_channel(caller.channel),
            greeting=greeting,
            fallback_target=transfer_to,
        ),
        phrases=phrases_in_file(phrases),
        max_calls=max_calls,
        processes=speech_processes,
        server=speech_options.speech_server(engine, speech_server, recogniser, synthesiser, speaker),
        drain=timedelta(seconds=30),
        metrics=MeshSettings.of(settings).metrics,
    )
    return run(answer_calls(part, mesh.otlp, invocation.output))


async def answer_calls(part: VoicePartSettings, otlp: str, output: Output) -> ExitCode:
    """Answers calls until Ctrl-C or SIGTERM; those that run then may come to their end.

    Raises:
        LmosError: it did not start.
    """
    tracing = start_tracing("lmos-voice", endpoint=otlp or None, instance_id=f"voice-{os.getpid()}")
    with stop_signals() as stop:
        async with tracing, run_voice(part, tracing.tracer) as running:
            if output.json:
                output.json_line(
                    {"event": "ready", "role": "voice", "voice": running.edge.address, "metrics": running.metrics}
                )
            else:
                output.line(
                    f"voice is up: AudioSocket at {running.edge.address}, the mesh at {part.edge}, {running.metrics}"
                )
            await stop.wait()
            if not output.json:
                output.line("draining: calls may come to their end")
    return ExitCode.OK
