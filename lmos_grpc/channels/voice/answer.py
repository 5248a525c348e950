"""One turn's answer as one voice: of several agents that speak at once, one after the other is heard."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lmos_grpc.channels.voice.clauses import ClauseSplitter
from lmos_grpc.channels.voice.mouth import Clause
from lmos_grpc.domain.event import Clarification, MessageDone, TextDelta, TurnDone
from lmos_grpc.domain.live_session import Prompt, SessionEnded, Transfer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmos_grpc.domain.event import AgentEvent, Outcome, Source


@dataclass(slots=True)
class Answer:
    """Takes the events of a turn, and gives what is to be said now."""

    turn_id: str
    spoken: bool = False
    outcome: Outcome | None = None
    _splitters: dict[Source, ClauseSplitter] = field(default_factory=dict)
    _waiting: dict[Source, list[str]] = field(default_factory=dict)
    _deltas: set[Source] = field(default_factory=set)
    _speaker: Source | None = None

    def take(self, event: AgentEvent) -> list[Clause]:
        """The clauses that the event brings to be said."""
        clauses = [each for each in self._clauses(event) if each.text]
        self.spoken = self.spoken or bool(clauses)
        return clauses

    def _clauses(self, event: AgentEvent) -> Iterator[Clause]:
        match event.body:
            case TextDelta(text):
                self._deltas.add(event.source)
                yield from self._text(event.source, text)
            case MessageDone(message):
                # It repeats the deltas before it, if there were any.
                if event.source not in self._deltas:
                    yield from self._text(event.source, message.text)
                self._deltas.discard(event.source)
                yield from self._rest(event.source)
            case Prompt():
                yield from self._rest(event.source)
                prompt = event.body
                text = prompt.text if not prompt.ssml else _without_tags(prompt.text)
                yield Clause(self.turn_id, text, prompt.interruptible, prompt.locale)
            case Transfer() | SessionEnded():
                yield from self._all_rests()
            case Clarification():
                yield from self._all_rests()
                yield from self._question(event.body)
            case TurnDone(outcome):
                self.outcome = outcome
                yield from self._all_rests()

    def _text(self, source: Source, text: str) -> Iterator[Clause]:
        if self._speaker is None:
            self._speaker = source
        if source == self._speaker:
            splitter = self._splitters.setdefault(source, ClauseSplitter())
            yield from (Clause(self.turn_id, each) for each in splitter.feed(text))
        else:
            self._waiting.setdefault(source, []).append(text)

    def _rest(self, source: Source) -> Iterator[Clause]:
        if splitter := self._splitters.get(source):
            yield Clause(self.turn_id, splitter.rest())

    def _all_rests(self) -> Iterator[Clause]:
        for source in list(self._splitters):
            yield from self._rest(source)
        waiting, self._waiting = self._waiting, {}
        for texts in waiting.values():
            splitter = ClauseSplitter()
            yield from (Clause(self.turn_id, each) for each in splitter.feed("".join(texts)))
            yield Clause(self.turn_id, splitter.rest())

    def _question(self, asked: Clarification) -> Iterator[Clause]:
        yield Clause(self.turn_id, asked.question)
        yield from (Clause(self.turn_id, f"{each.label}.") for each in asked.options)


def _without_tags(ssml: str) -> str:
    inside, text = False, []
    for char in ssml:
        if char in "<>":
            inside = char == "<"
        elif not inside:
            text.append(char)
    return "".join(text)
