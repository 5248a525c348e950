"""The options about speech that the commands of telephony share."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmos_grpc.channels.riva.riva_engines import RivaSettings
from lmos_grpc.channels.speech.openai_engines import OpenAiSpeechSettings
from lmos_grpc.cli.mesh.mesh_settings import split_address
from lmos_grpc.cli.settings import CallerSection
from lmos_grpc.errors import InvalidConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., Any]  # Any: click calls it with what the options say

_TELEPHONE = "ivr"


class Engine(Enum):
    """Whose speech engines are used."""

    OFFLINE = "offline"
    OPENAI = "openai"
    RIVA = "riva"


def about_speech(command: Command) -> Command:
    """Adds --phrases, --engine, --speech-processes, --speech-server, --recogniser, --synthesiser and --speaker."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    click.option(
        "--phrases",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        metavar="FILE",
        help="Phrases to listen for, one a line, beside those of the agents' cards.",
    ),
    click.option(
        "--engine",
        type=click.Choice([each.value for each in Engine]),
        help="Who hears and speaks: the engines of the extra `voice`, a server with OpenAI's speech interface, or one "
        "with NVIDIA Riva's over gRPC [default: openai with --speech-server, else offline].",
    ),
    click.option(
        "--speech-processes", default=2, show_default=True, help="Processes for each of the two offline engines."
    ),
    click.option(
        "--speech-server",
        default="",
        metavar="URL|HOST:PORT",
        help="The server of --engine openai (a URL; its key is $OPENAI_API_KEY) or riva (an address).",
    ),
    click.option("--recogniser", default="", metavar="MODEL", help="Its model that makes words of speech."),
    click.option(
        "--synthesiser", default="", metavar="MODEL", help="Its model that makes speech of words; openai only."
    ),
    click.option("--speaker", default="", help="Its voice [default: alloy with openai, with riva the server's own]."),
)


def phrases_in_file(path: Path | None) -> tuple[str, ...]:
    """The phrases of a file, one a line."""
    return tuple(line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()) if path else ()


def speech_server(
    engine: str | None, server: str, recogniser: str, synthesiser: str, speaker: str
) -> OpenAiSpeechSettings | RivaSettings | None:
    """The speech server that the options describe; None where there is none.

    Raises:
        InvalidConfigurationError: the options do not fit together.
    """
    chosen = Engine(engine) if engine else Engine.OPENAI if server or recogniser or synthesiser else Engine.OFFLINE
    match chosen:
        case Engine.OFFLINE:
            if server or recogniser or synthesiser or speaker:
                raise InvalidConfigurationError("--engine offline has no server, no models and no speaker to choose")
            return None
        case Engine.OPENAI:
            return _openai(server, recogniser, synthesiser, speaker)
        case Engine.RIVA:
            if not server or synthesiser:
                raise InvalidConfigurationError("--engine riva takes --speech-server HOST:PORT, and no --synthesiser")
            split_address(server)
            return RivaSettings(address=server, model=recogniser, voice=speaker)


def _openai(url: str, recogniser: str, synthesiser: str, speaker: str) -> OpenAiSpeechSettings:
    if not url or not (recogniser or synthesiser):
        raise InvalidConfigurationError("--speech-server needs --recogniser MODEL or --synthesiser MODEL, or both")
    return OpenAiSpeechSettings(
        base_url=url,
        api_key=os.environ.get("OPENAI_API_KEY", ""),
        transcription_model=recogniser,
        speech_model=synthesiser,
        voice=speaker or "alloy",
    )


def telephone_channel(channel: str) -> str:
    """The channel of telephone calls: the default of a command line is a browser's."""
    return _TELEPHONE if channel == CallerSection().channel else channel
