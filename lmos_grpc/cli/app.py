"""The command line: its commands, and what happens when one of them fails."""

from __future__ import annotations

import importlib
import sys

import click

from lmos_grpc.cli.exit_code import MEANINGS, ExitCode, exit_code_of
from lmos_grpc.cli.options import unwrapped
from lmos_grpc.cli.output import Output
from lmos_grpc.errors import LmosError

_EXIT_CODES = "\n".join(f"  {code.value:>3}  {meaning}" for code, meaning in MEANINGS.items())

_COMMANDS = (
    *("up", "ask", "chat", "agents", "route", "eval", "trace", "agent"),
    *("serve", "check", "voice", "byova", "doctor", "demo", "demo-ivr"),
)


class _Commands(click.Group):
    """Loads a command when it is called: `lmos trace` has no need of what `lmos up` has to import."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        module = importlib.import_module(f"lmos_grpc.cli.command.{name}")
        command: click.Command = getattr(module, name)
        return command


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=f"\b\nExit codes:\n{_EXIT_CODES}",
)
@click.version_option(package_name="lmos-grpc", prog_name="lmos")
@unwrapped
def lmos() -> None:
    r"""A mesh of AI agents behind Envoy: bring it up, ask it, look into it.

    \b
    Example:
      lmos up                                      # in one terminal
      lmos ask "why is my bill so high this month?"  # in another
    """


def main(arguments: list[str] | None = None) -> None:
    """Runs `lmos` and ends the process with its exit code."""
    sys.exit(run_command(arguments))


def run_command(arguments: list[str] | None = None) -> int:
    """Runs `lmos` and gives its exit code; an expected failure is one line on standard error, never a traceback."""
    try:
        result = lmos.main(arguments, prog_name="lmos", standalone_mode=False)
    except LmosError as error:
        Output().error(error.message)
        return exit_code_of(error)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # `lmos agents | head`
        sys.stderr.close()
        return ExitCode.FAILURE
    return int(result) if isinstance(result, int) else ExitCode.OK
