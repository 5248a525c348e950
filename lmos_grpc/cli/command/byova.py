"""`lmos byova`: the mesh as a virtual agent of Webex Contact Center."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lmos_grpc.channels.byova.jws import JwsRules
from lmos_grpc.channels.byova.settings import ByovaSettings, SoundMode
from lmos_grpc.cli import options
from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.cli.ivr import speech_options
from lmos_grpc.cli.ivr.byova_part import ByovaPartSettings, run_byova
from lmos_grpc.cli.ivr.speech_options import about_speech, phrases_in_file, telephone_channel
from lmos_grpc.cli.mesh.mesh_settings import MeshSettings
from lmos_grpc.cli.mesh.whereabouts import find_mesh
from lmos_grpc.cli.options import pass_invocation
from lmos_grpc.cli.running import run, stop_signals
from lmos_grpc.errors import InvalidConfigurationError
from lmos_grpc.rpc import require_safe_address
from lmos_grpc.telemetry import start_tracing

if TYPE_CHECKING:
    from lmos_grpc.cli.options import Invocation
    from lmos_grpc.cli.output import Output

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command()
@click.option(
    "--listen", default="127.0.0.1:9093", show_default=True, metavar="HOST:PORT", help="Where Webex's calls come in."
)
@click.option("--greeting", default="", help="What callers hear first.")
@click.option(
    "--sound",
    type=click.Choice([each.value for each in SoundMode]),
    default=SoundMode.CHUNKS.value,
    show_default=True,
    help="Answers in chunks as they come, or as one WAV file.",
)
@click.option("--source-url", default="", metavar="URL", help="The data source's URL, as Webex has it; with --keys.")
@click.option("--keys", type=_FILE, metavar="FILE", help="Keys of the token's issuer, a JSON Web Key Set.")
@click.option("--audience", default="", help="What the token's audience has to be.")
@about_speech
@options.at_edge
@options.in_state
@options.listening
@options.as_caller
@options.as_json
@options.everywhere
@pass_invocation
def byova(
    invocation: Invocation,
    *,
    listen: str,
    greeting: str,
    sound: str,
    source_url: str,
    keys: Path | None,
    audience: str,
    phrases: Path | None,
    engine: str | None,
    speech_processes: int,
    speech_server: str,
    recogniser: str,
    synthesiser: str,
    speaker: str,
) -> ExitCode:
    r"""Serve Webex Contact Center's Bring Your Own Virtual Agent until Ctrl-C.

    Webex calls over gRPC with TLS: put a proxy in front that ends it, such as Envoy. With --keys and --source-url the
    token of each call is checked.

    \b
    Example:
      lmos byova --listen 127.0.0.1:9093 --keys webex-keys.json --source-url https://ivr.example.com:443
    """
    options.show_logs(verbose=invocation.verbose)
    settings = invocation.settings()
    for each in (listen, settings.mesh.metrics):
        require_safe_address(each, insecure_ok=settings.mesh.insecure_listen)
    caller, mesh = settings.caller, find_mesh(settings)
    part = ByovaPartSettings(
        edge=mesh.edge,
        listen=listen,
        byova=ByovaSettings(
            locale=caller.locale or "en",
            tenant=caller.tenant,
            channel=telephone_channel(caller.channel),
            sound=SoundMode(sound),
            greeting=greeting,
        ),
        jws=_rules(source_url, keys, audience),
        phrases=phrases_in_file(phrases),
        processes=speech_processes,
        server=speech_options.speech_server(engine, speech_server, recogniser, synthesiser, speaker),
        drain=timedelta(seconds=30),
        metrics=MeshSettings.of(settings).metrics,
    )
    return run(serve_webex(part, mesh.otlp, invocation.output))


def _rules(url: str, keys: Path | None, audience: str) -> JwsRules | None:
    if bool(url) != bool(keys):
        raise InvalidConfigurationError("checking tokens takes both --keys and --source-url")
    if keys is None:
        return None
    try:
        return JwsRules(url=url, keys=json.loads(keys.read_text("utf-8")), audience=audience)
    except ValueError as error:
        raise InvalidConfigurationError(f"{keys} is no JSON: {error}") from error


async def serve_webex(part: ByovaPartSettings, otlp: str, output: Output) -> ExitCode:
    """Serves until Ctrl-C or SIGTERM.

    Raises:
        LmosError: it did not start.
    """
    tracing = start_tracing("lmos-byova", endpoint=otlp or None, instance_id=f"byova-{os.getpid()}")
    with stop_signals() as stop:
        async with tracing, run_byova(part, tracing.tracer) as running:
            if output.json:
                output.json_line(
                    {"event": "ready", "role": "byova", "byova": running.address, "metrics": running.metrics}
                )
            else:
                checked = "tokens are checked" if part.jws else "tokens are NOT checked"
                output.line(f"byova is up at {running.address}, the mesh at {part.edge}, {running.metrics}; {checked}")
            await stop.wait()
    return ExitCode.OK
