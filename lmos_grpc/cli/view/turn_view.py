"""How a turn looks while it streams: text as it comes, a heading per source where several answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.text import Text

from lmos_grpc.cli.output import printable
from lmos_grpc.cli.view.text_lanes import TextLanes
from lmos_grpc.domain.event import (
    Clarification,
    Failure,
    Handover,
    MessageDone,
    Routed,
    Status,
    TextDelta,
    ToolCall,
    TurnDone,
)
from lmos_grpc.domain.turn import DataPart, FilePart, TextPart

if TYPE_CHECKING:
    from rich.console import Console

    from lmos_grpc.domain.event import AgentEvent, Source
    from lmos_grpc.domain.failure import FailureDetail
    from lmos_grpc.domain.turn import Message, Part


class TurnView:
    """Prints the events of one turn as they come."""

    def __init__(self, console: Console, *, progress: bool = True) -> None:
        self._console = console
        self._progress = progress
        self._lanes = TextLanes(console)

    def show(self, event: AgentEvent) -> None:
        """Prints what an event has to show."""
        match event.body:
            case TextDelta(text):
                self._lanes.write(event.source, text)
            case MessageDone(message):
                self._message(event.source, message)
            case Routed(decision):
                self._lanes.expect(len(decision.targets))
            case Status() | ToolCall() | Handover():
                self._aside(event.source, event.body)
            case Clarification() as clarification:
                self._ask(event.source, clarification)
            case Failure(detail) if event.source.branch:  # one that ends the turn is for the command to report
                self._lanes.line(event.source, Text(f"! {failure_line(detail)}", "red"))
            case TurnDone() as done:
                self._end(done)
            case _:
                pass

    def close(self) -> None:
        """Ends the line that is being written, so that what follows begins on a new one."""
        self._lanes.close()

    def _message(self, source: Source, message: Message) -> None:
        repeats = self._lanes.has_text(source)
        for part in message.parts:
            if isinstance(part, TextPart) and repeats:
                continue
            self._lanes.line(source, Text(printable(_part_text(part))))
        self._lanes.finish(source)

    def _aside(self, source: Source, body: Status | ToolCall | Handover) -> None:
        if not self._progress:
            return
        match body:
            case Status(text, progress):
                percent = "" if progress is None else f" {progress:.0%}"
                line = f"· {text}{percent}"
            case ToolCall():
                line = f"· {body.name}: {body.state.value}"
            case Handover():
                to = body.agent or body.capability or "whoever fits"
                line = f"→ {source.agent} hands over to {to}" + (f": {body.reason}" if body.reason else "")
        self._lanes.line(source, Text(printable(line), "dim"), aside=True)

    def _ask(self, source: Source, clarification: Clarification) -> None:
        self._lanes.line(source, Text(printable(clarification.question), "bold"))
        for number, option in enumerate(clarification.options, 1):
            score = f"  {option.score:.2f}" if option.score else ""
            text = Text.assemble((f"  {number}. ", "bold"), printable(option.label), (score, "dim"))
            self._lanes.line(source, text)

    def _end(self, done: TurnDone) -> None:
        self._lanes.close()
        for branch in done.branches:
            if branch.error is not None:
                said = f"! {branch.source.agent} {branch.outcome.value}: {failure_line(branch.error)}"
                self._console.print(Text(printable(said), "yellow"), soft_wrap=True)


def failure_line(detail: FailureDetail) -> str:
    """A failure in one line: its reason and what it says."""
    return printable(f"{detail.reason.name}: {' '.join(detail.message.split())}")


def _part_text(part: Part) -> str:
    match part:
        case TextPart(text):
            return text
        case DataPart(data):
            return json.dumps(data, ensure_ascii=False, indent=2)
        case FilePart():
            return f"[{part.name or part.media_type or 'file'}] {part.uri}"
