"""`lmos ask`: one question, answered as it streams."""

from __future__ import annotations

import sys
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from lmos_grpc.cli import options
from lmos_grpc.cli.caller import call_mesh
from lmos_grpc.cli.duration_option import to_timedelta
from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.cli.hint_options import route_hint
from lmos_grpc.cli.options import pass_invocation
from lmos_grpc.cli.running import run
from lmos_grpc.cli.turn_story import TurnStory, answered_by
from lmos_grpc.cli.view.decision_view import decision_line, show_decision
from lmos_grpc.cli.view.figures import span_text
from lmos_grpc.cli.view.json_form import event_json, failure_json
from lmos_grpc.cli.view.turn_view import TurnView, failure_line
from lmos_grpc.domain.turn import ClarificationAnswer
from lmos_grpc.errors import LmosError

if TYPE_CHECKING:
    from datetime import timedelta

    from lmos_grpc.cli.caller import Caller
    from lmos_grpc.cli.options import Invocation
    from lmos_grpc.cli.output import Output
    from lmos_grpc.cli.settings import Settings
    from lmos_grpc.domain.turn import RouteHint, TurnRequest

_STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and what the caller wants of the routing."""

    text: str
    hint: RouteHint
    conversation_id: str = ""
    answer: ClarificationAnswer | None = None
    timeout: timedelta | None = None


@click.command()
@click.argument("text")
@route_hint
@click.option("--conversation", default="", metavar="ID", help="Go on with this conversation.")
@click.option("--answer", default="", metavar="QUESTION/OPTION", help="Choose an option of an open question.")
@click.option("--timeout", callback=to_timedelta, metavar="TIME", help="Give up after this time, such as 30s.")
@click.option("--why", is_flag=True, help="Show the whole decision: candidates, scores, what kept them out.")
@options.as_caller
@options.at_edge
@options.in_state
@options.as_json
@options.everywhere
@pass_invocation
def ask(
    invocation: Invocation,
    *,
    text: str,
    hint: RouteHint,
    conversation: str,
    answer: str,
    timeout: timedelta | None,
    why: bool,
) -> ExitCode:
    r"""Ask the mesh TEXT and stream the answer.

    \b
    Example:
      lmos ask "why is my bill so high this month?"
      lmos ask --strategy all --json "my line is down and my bill is too high"
      lmos ask --strategy quorum:2 --hedge 300ms "is there an outage in my street?"
    """
    options.show_logs(verbose=invocation.verbose)
    said = sys.stdin.read() if text == _STANDARD_INPUT else text
    question = Question(said, hint, conversation, _answer(answer), timeout)
    return run(ask_mesh(invocation.settings(), invocation.output, question, why=why))


def _answer(text: str) -> ClarificationAnswer | None:
    if not text:
        return None
    clarification_id, _, option_id = text.rpartition("/")
    if not clarification_id:
        raise click.BadParameter(
            f"{text!r}: say QUESTION/OPTION, as the question before showed them", param_hint="--answer"
        )
    return ClarificationAnswer(clarification_id, option_id)


async def ask_mesh(settings: Settings, output: Output, question: Question, *, why: bool = False) -> ExitCode:
    """Asks, shows the answer, and tells how it went.

    Raises:
        LmosError: the turn was refused before its first event.
    """
    async with call_mesh(settings) as caller:
        turn = replace(
            caller.turn(question.text, conversation_id=question.conversation_id),
            hint=question.hint,
            answer=question.answer,
        )
        with caller.tracer.start_as_current_span("lmos ask") as span:
            story = await run_turn(caller, output, turn, question.timeout)
            trace_id = f"{span.get_span_context().trace_id:032x}"
    if not output.json:
        if why:
            _show_decisions(output, story)
        show_end(output, story, trace_id)
        _show_how_to_answer(output, story, turn)
    return story.exit_code


async def run_turn(
    caller: Caller, output: Output, turn: TurnRequest, timeout: timedelta | None, *, into: TurnStory | None = None
) -> TurnStory:
    """Runs a turn and shows its events as they come. `into` is the story to write, for who may be interrupted.

    Raises:
        LmosError: the turn was refused before its first event.
    """
    story, view = into or TurnStory(), TurnView(output.out)
    try:
        turn_events = caller.agent.invoke(turn, timeout=timeout, on_decision=story.decisions.append)
        async with aclosing(turn_events) as events:
            async for event in events:
                story.take(event)
                if output.json:
                    output.json_line(event_json(event))
                else:
                    view.show(event)
    except LmosError as error:
        if not story.turn_id:
            raise
        story.failure = error.detail
        if output.json:
            output.json_line({"error": failure_json(error.detail)})
    finally:
        view.close()
    return story


def show_end(output: Output, story: TurnStory, trace_id: str) -> None:
    """Tells who answered, why, and how long it took."""
    if story.failure is not None and story.exit_code is not ExitCode.OK:
        output.error(failure_line(story.failure))
    outcome = story.outcome.value if story.outcome else "broken off"
    elapsed = story.done.usage.elapsed if story.done else None
    figures = [outcome, *([span_text(elapsed)] if elapsed else []), f"trace {trace_id[:8]}"]
    output.note(f"{answered_by(story)} · {' · '.join(figures)}")
    if story.decisions:
        output.note(f"why: {decision_line(story.decisions[0])}")


def _show_decisions(output: Output, story: TurnStory) -> None:
    for decision in story.decisions:
        output.out.print()
        show_decision(output.out, decision)


def _show_how_to_answer(output: Output, story: TurnStory, turn: TurnRequest) -> None:
    if story.clarification is None:
        return
    command = f"lmos ask --conversation {turn.conversation_id}"
    options_ = story.clarification.options
    if options_:
        output.note(f"answer: {command} --answer {story.clarification.id}/{options_[0].id} {options_[0].label!r}")
    else:
        output.note(f"answer: {command} …")
