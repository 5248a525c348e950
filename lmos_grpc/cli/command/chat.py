"""`lmos chat`: a conversation in the terminal."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import click
import uvloop

from lmos_grpc.cli import options
from lmos_grpc.cli.caller import call_mesh, explained, new_id
from lmos_grpc.cli.command.ask import run_turn, show_end
from lmos_grpc.cli.command.trace import show_one
from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.cli.hint_options import route_hint
from lmos_grpc.cli.mesh.whereabouts import TRACES
from lmos_grpc.cli.options import pass_invocation
from lmos_grpc.cli.turn_story import TurnStory
from lmos_grpc.cli.view.decision_view import show_decision
from lmos_grpc.domain.turn import ClarificationAnswer, RouteHint
from lmos_grpc.errors import LmosError, UnreachableError
from lmos_grpc.traces import open_span_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lmos_grpc.cli.caller import Caller
    from lmos_grpc.cli.options import Invocation
    from lmos_grpc.cli.output import Output
    from lmos_grpc.cli.settings import Settings
    from lmos_grpc.domain.event import Clarification

_HELP = "/why the last decision · /trace the last trace · /new another conversation · /quit"
_PROMPT = "you> "
_NO_WISH = RouteHint()


@click.command()
@route_hint
@click.option("--conversation", default="", metavar="ID", help="Go on with this conversation.")
@options.as_caller
@options.at_edge
@options.in_state
@options.everywhere
@pass_invocation
def chat(invocation: Invocation, *, hint: RouteHint, conversation: str) -> ExitCode:
    r"""Talk with the mesh. Ctrl-C cancels the answer that streams; /quit or Ctrl-D ends.

    What the options want of the routing holds for every turn.

    \b
    Example:
      lmos chat --locale de-DE
      lmos chat --strategy best --turn-budget 10s
    """
    options.show_logs(verbose=invocation.verbose)
    with suppress(ImportError):
        import readline  # noqa: F401, PLC0415 - editing and history of the prompt, where Python was built with it
    return converse(invocation.settings(), invocation.output, conversation_id=conversation, hint=hint)


def converse(
    settings: Settings,
    output: Output,
    *,
    read: Callable[[str], str] = input,
    conversation_id: str = "",
    hint: RouteHint = _NO_WISH,
) -> ExitCode:
    """Reads lines and runs each as a turn, until the end of input.

    Reading a line blocks, so the loop runs only while a turn does; Ctrl-C then cancels that turn and nothing else.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, _open_caller(runner, settings) as caller:
        dialogue = Dialogue(caller, output, settings.mesh.state, conversation_id or new_id("c"), hint)
        output.note(f"conversation {dialogue.conversation_id} · {_HELP}")
        while (line := _next_line(read, output)) is not None:
            if line and not dialogue.command(line):
                _run_interruptibly(runner, dialogue, line)
    return ExitCode.OK


@contextmanager
def _open_caller(runner: asyncio.Runner, settings: Settings) -> Iterator[Caller]:
    stack = AsyncExitStack()
    try:
        yield runner.run(stack.enter_async_context(call_mesh(settings)))
    finally:
        runner.run(stack.aclose())


def _next_line(read: Callable[[str], str], output: Output) -> str | None:
    prompt = _PROMPT if sys.stdin.isatty() else ""
    while True:
        try:
            line = read(prompt).strip()
        except EOFError:
            return None
        except KeyboardInterrupt:
            output.note("\n/quit or Ctrl-D ends")
            continue
        return None if line in {"/quit", "/exit", "/q"} else line


def _run_interruptibly(runner: asyncio.Runner, dialogue: Dialogue, line: str) -> None:
    try:
        runner.run(dialogue.turn(line))
    except KeyboardInterrupt:
        dialogue.output.note("cancelled")
    except UnreachableError as error:
        dialogue.output.error(explained(error, dialogue.caller.edge).message)
    except LmosError as error:
        dialogue.output.error(error.message)


@dataclass(slots=True)
class Dialogue:
    """A conversation with the mesh, and what can be asked about its last turn."""

    caller: Caller
    output: Output
    state: Path
    conversation_id: str
    hint: RouteHint = _NO_WISH
    last: TurnStory = field(default_factory=TurnStory)
    last_trace_id: str = ""

    async def turn(self, line: str) -> None:
        """Runs a line as a turn; a number chooses an option of the question that is open.

        Raises:
            LmosError: the turn was refused.
        """
        answer = chosen_option(self.last.clarification, line)
        turn = replace(self.caller.turn(line, conversation_id=self.conversation_id), hint=self.hint, answer=answer)
        self.last = TurnStory()
        with self.caller.tracer.start_as_current_span("lmos chat") as span:
            self.last_trace_id = f"{span.get_span_context().trace_id:032x}"
            await run_turn(self.caller, self.output, turn, None, into=self.last)
        show_end(self.output, self.last, self.last_trace_id)

    def command(self, line: str) -> bool:
        """Runs a line that begins with a slash; False where it is none."""
        match line:
            case "/why":
                for decision in self.last.decisions:
                    show_decision(self.output.out, decision)
            case "/trace":
                self._show_trace()
            case "/new":
                self.conversation_id, self.last = new_id("c"), TurnStory()
                self.output.note(f"conversation {self.conversation_id}")
            case _ if line.startswith("/"):
                self.output.note(_HELP)
            case _:
                return False
        return True

    def _show_trace(self) -> None:
        try:
            with open_span_reader(self.state / TRACES) as reader:
                show_one(reader, self.output, self.last_trace_id)
        except LmosError as error:
            self.output.error(error.message)


def chosen_option(question: Clarification | None, line: str) -> ClarificationAnswer | None:
    """The answer that a line gives to an open question: an option by its number, else in the caller's own words."""
    if question is None:
        return None
    if line.isascii() and line.isdigit() and 1 <= int(line) <= len(question.options):
        return ClarificationAnswer(question.id, question.options[int(line) - 1].id)
    return None
