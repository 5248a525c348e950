"""`lmos eval`: how well the mesh routes phrases that a team has labelled."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lmos_grpc.cli import options
from lmos_grpc.cli.caller import call_mesh
from lmos_grpc.cli.evaluation import Evaluation, read_phrases
from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.cli.options import pass_invocation
from lmos_grpc.cli.running import run
from lmos_grpc.cli.view.evaluation_view import evaluation_json, show_evaluation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lmos_grpc.cli.caller import Caller
    from lmos_grpc.cli.evaluation import LabelledPhrase
    from lmos_grpc.cli.options import Invocation
    from lmos_grpc.cli.output import Output
    from lmos_grpc.cli.settings import Settings
    from lmos_grpc.domain.decision import Decision

_AT_ONCE = 8


@click.command(name="eval")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--min-accuracy",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="SHARE",
    help="Exit with 1 where less than this share is right, such as 0.95 [default: 0].",
)
@options.as_caller
@options.at_edge
@options.in_state
@options.as_json
@options.everywhere
@pass_invocation
def eval(invocation: Invocation, *, file: Path, min_accuracy: float) -> ExitCode:  # noqa: A001 - commands are functions of their name
    r"""Ask the live mesh who would get each phrase of FILE, without running any, and compare with its labels.

    FILE is .csv, .tsv, .jsonl or .yaml. Each entry has `text` and `expected`: an agent, a capability,
    `agent/capability`, or `nobody` for what is out of scope. `locale`, `tenant` and `channel` are optional.

    \b
    Example:
      text,expected
      why is my bill so high,billing-agent
      "book a technician, please",fault-agent/book-technician
      what is the capital of France,nobody
    \b
      lmos eval phrases.csv
      lmos eval phrases.csv --min-accuracy 0.95 --json   # in CI, before examples are shipped
    """
    options.show_logs(verbose=invocation.verbose)
    return run(evaluate(invocation.settings(), invocation.output, read_phrases(file), min_accuracy))


async def evaluate(
    settings: Settings, output: Output, phrases: Sequence[LabelledPhrase], min_accuracy: float
) -> ExitCode:
    """Asks for the decision on each phrase and shows how many are right.

    Raises:
        LmosError: the mesh did not answer.
    """
    decisions: dict[int, Decision] = {}
    left = iter(enumerate(phrases))
    async with call_mesh(settings) as caller, asyncio.TaskGroup() as askers:
        for _ in range(_AT_ONCE):
            askers.create_task(_ask(caller, left, decisions))
    evaluation = Evaluation.of(phrases, [decisions[each] for each in range(len(phrases))])
    if output.json:
        output.json_line(evaluation_json(evaluation))
    else:
        show_evaluation(output, evaluation)
    if evaluation.accuracy < min_accuracy:
        output.note(f"the accuracy is below {min_accuracy:g}", "bold red")
        return ExitCode.FAILURE
    return ExitCode.OK


async def _ask(caller: Caller, left: Iterator[tuple[int, LabelledPhrase]], decisions: dict[int, Decision]) -> None:
    for number, phrase in left:
        turn = caller.turn(phrase.text)
        context = replace(
            turn.context, tenant=phrase.tenant or turn.context.tenant, channel=phrase.channel or turn.context.channel
        )
        user = replace(turn.user, locale=phrase.locale or turn.user.locale)
        decisions[number] = await caller.orchestrator.explain_route(replace(turn, context=context, user=user))
