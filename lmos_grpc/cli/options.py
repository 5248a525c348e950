"""Options that several commands share, and what each command gets from them."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmos_grpc.cli.output import Output
from lmos_grpc.cli.settings import load_settings
from lmos_grpc.telemetry import configure_logging

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.cli.settings import Settings
    from lmos_grpc.cli.settings.load import Value

    Command = Callable[..., Any]  # Any: click calls it with what the options say


@dataclass(slots=True)
class Invocation:
    """What the shared options of one invocation add up to."""

    config: Path | None = None
    verbose: bool = False
    json: bool = False
    given: dict[str, Value | None] = field(default_factory=dict)

    @property
    def output(self) -> Output:
        """Where to write."""
        return Output(json=self.json)

    def settings(self, **given: Value | None) -> Settings:
        """The settings, with those of the command line on top (`mesh__edge` for `mesh.edge`).

        Raises:
            InvalidConfigurationError: the file or a variable is wrong.
        """
        named = {name.replace("__", "."): value for name, value in given.items()}
        return load_settings(os.environ, file=self.config, given={**self.given, **named})


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)


def _remember(name: str, context: click.Context, _parameter: click.Parameter, value: Any) -> None:  # Any: any option
    invocation = context.ensure_object(Invocation)
    if value in (None, False):
        return
    if "." in name:
        invocation.given[name] = value
    else:
        setattr(invocation, name, value)


def _shared(*names: str, setting: str, **attributes: Any) -> Command:  # Any: click's own attributes
    return click.option(*names, expose_value=False, callback=partial(_remember, setting), **attributes)


_EVERYWHERE = (
    _shared("-v", "--verbose", setting="verbose", is_flag=True, help="Show the logs on standard error."),
    _shared(
        "--config",
        setting="config",
        type=click.Path(path_type=Path),
        metavar="FILE|DIR",
        help="Configuration (default: lmos.yaml here, if there is one; or $LMOS_CONFIG). Of a folder: lmos.yaml in it, "
        "and the tenants, channels and agents that its other YAML files declare.",
    ),
)
_AS_JSON = _shared("--json", setting="json", is_flag=True, help="Print JSON, one object a line, for scripts.")
_EDGE = _shared("--edge", setting="mesh.edge", metavar="HOST:PORT", help="The mesh's edge [default: 127.0.0.1:8080].")
_INTERNAL = _shared(
    "--internal", setting="mesh.internal", metavar="HOST:PORT", help="Its internal listener [default: 127.0.0.1:8081]."
)
_STATE = _shared(
    "--state",
    setting="mesh.state",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where the mesh keeps its state [default: ~/.local/state/lmos].",
)
_METRICS = _shared(
    "--metrics", setting="mesh.metrics", metavar="HOST:PORT", help="Prometheus endpoint [default: 127.0.0.1:9464]."
)
_EXPRESS = _shared(
    "--express",
    setting="mesh.express",
    is_flag=False,
    flag_value="on",
    type=click.Choice(("off", "asked", "on")),
    help="Let the answer of one agent go straight to the caller, not through the orchestrator [default: off]. It is "
    "faster, and gives up that the mesh keeps the answer: such a turn cannot be resumed, and is not in the history. "
    "`asked`: only where a caller asks for it.",
)
_INSECURE = _shared(
    "--insecure-listen",
    setting="mesh.insecure_listen",
    is_flag=True,
    help="Allow to listen beyond this machine without TLS.",
)


def everywhere(command: Command) -> Command:
    """Adds what every command has: --verbose and --config, and help whose example keeps its lines."""
    return _apply(unwrapped(command), *_EVERYWHERE)


def unwrapped(command: Command) -> Command:
    r"""Makes of the `\b` in a raw docstring the character by which click knows a paragraph that is not wrapped."""
    command.__doc__ = (command.__doc__ or "").replace(r"\b", "\b")
    return command


def express_lane(command: Command) -> Command:
    """Adds --express."""
    return _apply(command, _EXPRESS)


def as_json(command: Command) -> Command:
    """Adds --json."""
    return _apply(command, _AS_JSON)


def at_edge(command: Command) -> Command:
    """Adds --edge."""
    return _apply(command, _EDGE)


def at_internal(command: Command) -> Command:
    """Adds --internal."""
    return _apply(command, _INTERNAL)


def in_state(command: Command) -> Command:
    """Adds --state."""
    return _apply(command, _STATE)


def listening(command: Command) -> Command:
    """Adds what every command that listens has: --metrics and --insecure-listen."""
    return _apply(command, _METRICS, _INSECURE)


def insecure_listen(command: Command) -> Command:
    """Adds --insecure-listen."""
    return _apply(command, _INSECURE)


def as_caller(command: Command) -> Command:
    """Adds for whom a call is: --tenant, --channel and --locale."""
    return _apply(
        command,
        _shared("--tenant", setting="caller.tenant", help="The tenant [default: default]."),
        _shared("--channel", setting="caller.channel", help="The channel [default: web]."),
        _shared("--locale", setting="caller.locale", help="The customer's language, such as de-DE."),
    )


def show_logs(*, verbose: bool, record_text: bool = False) -> None:
    """Sends the logs of this process to standard error: errors, or with `verbose` everything worth knowing."""
    configure_logging(logging.INFO if verbose else logging.ERROR, json=False, capture_content=record_text)


def _apply(command: Command, *options: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
