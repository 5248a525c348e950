"""What the exit code of `lmos` says."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from lmos_grpc.errors import EnvironmentFaultError, InvalidCardError, InvalidConfigurationError, UnreachableError

if TYPE_CHECKING:
    from lmos_grpc.errors import LmosError


class ExitCode(IntEnum):
    """The exit codes of every command."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    ENVIRONMENT = 3
    MESH = 4
    INTERRUPTED = 130


MEANINGS = {
    ExitCode.OK: "done; for commands that keep running: stopped and drained",
    ExitCode.FAILURE: "failed, such as a demo whose expectations are not met",
    ExitCode.USAGE: "wrong option, argument or configuration",
    ExitCode.ENVIRONMENT: "something on this machine is missing or taken: a port, Envoy, the mesh itself",
    ExitCode.MESH: "the mesh or an agent answered with an error",
    ExitCode.INTERRUPTED: "interrupted with Ctrl-C",
}


def exit_code_of(error: LmosError) -> ExitCode:
    """The exit code that goes with an error."""
    match error:
        case InvalidConfigurationError() | InvalidCardError():
            return ExitCode.USAGE
        case EnvironmentFaultError() | UnreachableError():
            return ExitCode.ENVIRONMENT
        case _:
            return ExitCode.MESH
