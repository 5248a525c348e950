"""Sends the requests of the demo through a mesh, one after the other, and shows what comes back."""

from __future__ import annotations

import time
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.text import Text

from lmos_grpc.cli.caller import new_id
from lmos_grpc.cli.demo.demo_result import DemoResult
from lmos_grpc.cli.demo.finished_trace import finished_trace, is_whole, stopped_spans
from lmos_grpc.cli.output import printable
from lmos_grpc.cli.turn_story import TurnStory, answered_by
from lmos_grpc.cli.view.decision_view import decision_line, governance_lines
from lmos_grpc.cli.view.figures import span_text
from lmos_grpc.cli.view.turn_view import TurnView, failure_line
from lmos_grpc.domain.event import Outcome
from lmos_grpc.domain.turn import ClarificationAnswer, User

if TYPE_CHECKING:
    from pathlib import Path

    from lmos_grpc.cli.caller import Caller
    from lmos_grpc.cli.demo.demo_request import DemoRequest
    from lmos_grpc.cli.output import Output
    from lmos_grpc.domain.turn import TurnRequest

_TURN_LIMIT = timedelta(seconds=30)
_STOP_LIMIT = timedelta(seconds=5)


class DemoRun:
    """The requests of one demo, with the conversations that they are part of."""

    def __init__(self, caller: Caller, output: Output, state: Path) -> None:
        self._caller = caller
        self._output = output
        self._state = state
        self._conversations: dict[str, tuple[str, TurnStory]] = {}

    async def send(self, request: DemoRequest) -> DemoResult:
        """Sends one request and shows its answer as it streams.

        Raises:
            LmosError: the mesh refused the turn.
        """
        self._show_request(request)
        conversation_id, before = self._conversations.get(request.conversation, (new_id("c"), TurnStory()))
        turn = self._turn(request, conversation_id, before)
        story = TurnStory()
        with self._caller.tracer.start_as_current_span("lmos demo") as span:
            trace_id = f"{span.get_span_context().trace_id:032x}"
            started = time.monotonic()
            first_text = await self._stream(turn, story, request.cancel_after_events)
            elapsed = timedelta(seconds=time.monotonic() - started)
        if request.conversation:
            self._conversations[request.conversation] = (conversation_id, story)
        outcome = story.outcome or await self._outcome_after_hanging_up(trace_id, frozenset(story.agents))
        self._show_end(story, outcome, elapsed, trace_id)
        branches = max((len(each.targets) for each in story.decisions), default=0)
        return DemoResult(request, frozenset(story.agents), outcome, trace_id, elapsed, first_text, branches)

    def _turn(self, request: DemoRequest, conversation_id: str, before: TurnStory) -> TurnRequest:
        turn = self._caller.turn(request.text, conversation_id=conversation_id)
        question = before.clarification
        answer = ClarificationAnswer(question.id, request.answer_option) if question and request.answer_option else None
        context = replace(turn.context, channel=request.channel)
        return replace(turn, user=User(id=request.user, locale=request.locale), answer=answer, context=context)

    async def _stream(self, turn: TurnRequest, story: TurnStory, cancel_after: int) -> timedelta | None:
        started, first_text, count = time.monotonic(), None, 0
        view = TurnView(self._output.out)
        async with aclosing(self._caller.agent.invoke(turn, timeout=_TURN_LIMIT)) as events:
            async for event in events:
                story.take(event)
                if not self._output.json:
                    view.show(event)
                if first_text is None and story.text:
                    first_text = timedelta(seconds=time.monotonic() - started)
                count += 1
                if count == cancel_after:
                    break
        view.close()
        return first_text

    async def _outcome_after_hanging_up(self, trace_id: str, agents: frozenset[str]) -> Outcome | None:
        """Whether the agents stopped: a caller that hung up cannot be told, but the trace can."""
        trace = await finished_trace(
            self._state,
            trace_id,
            _STOP_LIMIT,
            lambda each: is_whole(each, agents) and bool(stopped_spans(each, agents)),
        )
        spans = stopped_spans(trace, agents) if trace else ()
        if trace is None or not spans:
            return None
        hung_up = max(each.ended_at_ns for each in trace.spans if not each.parent_span_id)
        later = timedelta(microseconds=max(0, max(each.ended_at_ns for each in spans) - hung_up) / 1_000)
        self._line(f"the caller hung up; {spans[0].service} stopped {span_text(later)} later", "yellow")
        return Outcome.CANCELLED

    def _show_request(self, request: DemoRequest) -> None:
        self._line("")
        self._line(f"■ {request.title}", "bold")
        if not self._output.json:
            self._output.out.print(Text.assemble(("customer: ", "bold magenta"), printable(request.text)))

    def _show_end(self, story: TurnStory, outcome: Outcome | None, elapsed: timedelta, trace_id: str) -> None:
        if story.failure is not None:
            self._line(failure_line(story.failure), "red")
        ended = outcome.value if outcome else "broken off"
        self._line(f"{answered_by(story)} · {ended} · {span_text(elapsed)} · trace {trace_id[:8]}", "dim")
        if story.decisions:
            self._line(f"why: {decision_line(story.decisions[0])}", "dim")
            governance = story.decisions[0].governance
            if governance and governance.channel and not story.decisions[0].targets:
                self._line(f"     {' · '.join(governance_lines(governance))}", "dim")

    def _line(self, text: str, style: str = "") -> None:
        if not self._output.json:
            self._output.line(text, style)
