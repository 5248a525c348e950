"""What is worth knowing of a turn once it is over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.domain.event import (
    Clarification,
    Failure,
    Handover,
    MessageDone,
    Outcome,
    Routed,
    TextDelta,
    TurnDone,
)

if TYPE_CHECKING:
    from lmos_grpc.domain.decision import Decision
    from lmos_grpc.domain.event import AgentEvent, Source
    from lmos_grpc.domain.failure import FailureDetail

_FAILED = {Outcome.FAILED, Outcome.CANCELLED, Outcome.INTERRUPTED}


@dataclass(slots=True)
class TurnStory:
    """Gathered from the events as they come; `outcome` None means that the turn did not end."""

    decisions: list[Decision] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    answered: list[Source] = field(default_factory=list)
    handovers: list[Handover] = field(default_factory=list)
    clarification: Clarification | None = None
    failure: FailureDetail | None = None
    outcome: Outcome | None = None
    done: TurnDone | None = None
    turn_id: str = ""
    text: str = ""

    def take(self, event: AgentEvent) -> None:
        """Takes in one event."""
        self.turn_id = event.turn_id
        if event.source.agent:
            self.agents.add(event.source.agent)
        match event.body:
            case Routed(decision):
                self.decisions.append(decision)
            case TextDelta(text):
                self._heard(event.source)
                self.text += text
            case MessageDone(message):
                if event.source not in self.answered:
                    self.text += message.text
                self._heard(event.source)
            case Clarification() as clarification:
                self._heard(event.source)
                self.clarification = clarification
            case Handover() as handover:
                self.handovers.append(handover)
            case Failure(detail):
                self.failure = detail
            case TurnDone() as done:
                self.done, self.outcome = done, done.outcome
            case _:
                pass

    @property
    def exit_code(self) -> ExitCode:
        """Whether the turn came to something."""
        return ExitCode.MESH if self.outcome is None or self.outcome in _FAILED else ExitCode.OK

    def _heard(self, source: Source) -> None:
        if source not in self.answered:
            self.answered.append(source)


def answered_by(story: TurnStory) -> str:
    """Who answered, or at least began to, in one line: `billing-agent 1.2.0 (explain-bill)`."""
    answered = ", ".join(_source_name(each) for each in story.answered if each.agent)
    return answered or ", ".join(sorted(story.agents)) or "nobody"


def _source_name(source: Source) -> str:
    name = f"{source.agent} {source.version}".strip()
    return f"{name} ({source.capability})" if source.capability else name
