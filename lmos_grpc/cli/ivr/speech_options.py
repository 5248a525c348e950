"""The options about speech that the commands of telephony share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmos_grpc.channels.speech.openai_engines import OpenAiSpeechSettings
from lmos_grpc.cli.settings import CallerSection
from lmos_grpc.errors import InvalidConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., Any]  # Any: click calls it with what the options say

_TELEPHONE = "ivr"


def about_speech(command: Command) -> Command:
    """Adds --phrases, --speech-processes, --speech-server, --recogniser, --synthesiser and --speaker."""
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
        "--speech-processes", default=2, show_default=True, help="Processes for each of the two offline engines."
    ),
    click.option(
        "--speech-server", default="", metavar="URL", help="A server with OpenAI's speech interface; $OPENAI_API_KEY."
    ),
    click.option("--recogniser", default="", metavar="MODEL", help="Its model that makes words of speech."),
    click.option("--synthesiser", default="", metavar="MODEL", help="Its model that makes speech of words."),
    click.option("--speaker", default="alloy", show_default=True, help="The voice of that model."),
)


def phrases_in_file(path: Path | None) -> tuple[str, ...]:
    """The phrases of a file, one a line."""
    return tuple(line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()) if path else ()


def speech_server(url: str, recogniser: str, synthesiser: str, speaker: str) -> OpenAiSpeechSettings | None:
    """The speech server that the options describe; None where there is none.

    Raises:
        InvalidConfigurationError: a model is named and no server, or a server and no model.
    """
    if bool(url) != bool(recogniser or synthesiser):
        raise InvalidConfigurationError("--speech-server needs --recogniser MODEL or --synthesiser MODEL, or both")
    if not url:
        return None
    return OpenAiSpeechSettings(
        base_url=url,
        api_key=os.environ.get("OPENAI_API_KEY", ""),
        transcription_model=recogniser,
        speech_model=synthesiser,
        voice=speaker,
    )


def telephone_channel(channel: str) -> str:
    """The channel of telephone calls: the default of a command line is a browser's."""
    return _TELEPHONE if channel == CallerSection().channel else channel
