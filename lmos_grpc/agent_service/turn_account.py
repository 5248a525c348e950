"""What the conversation has to know of a turn: who said what, what was asked back, and how it ended."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from lmos_grpc.domain.conversation import ConversationState, OpenQuestion
from lmos_grpc.domain.event import Clarification, MessageDone, Source, TextDelta, TurnDone
from lmos_grpc.domain.heard import as_heard
from lmos_grpc.domain.live_session import Prompt, PromptKind
from lmos_grpc.domain.sensitive import masked, masked_messages
from lmos_grpc.domain.turn import Message, Role, TextPart
from lmos_grpc.wire.framed_event import Origin

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.domain.event import EventBody, Outcome
    from lmos_grpc.domain.live_session import HeardAnswer
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.wire.framed_event import SaidEvent

# What is read of an agent's event beside text: all that this account or an observer has to know.
_READ = frozenset({"routed", "message", "clarification", "error", "prompt"})
_TAG = re.compile("<[^>]*>")


class TurnAccount:
    """Takes in the events of a turn, and reads no more of them than has to be known."""

    def __init__(self, turn: TurnRequest) -> None:
        self._turn_id = turn.turn_id
        self._secret = turn.message.text if turn.sensitive else None
        self._voices: dict[Source, _Voice] = {}
        self._speaking: _Voice | None = None
        self._question: OpenQuestion | None = None
        self.outcome: Outcome | None = None
        self.observers: list[Callable[[EventBody, Source], None]] = []

    def take(self, body: EventBody, source: Source) -> None:
        """Takes in an event of our own."""
        if isinstance(body, TextDelta):
            speaking = self._speaking
            voice = speaking if speaking and speaking.origin.source is source else self._voice(source)
            voice.say(body.text, self)
            return
        match body:
            case MessageDone(message):
                self._voice(source).message = message
            case Prompt(kind=kind) if kind is not PromptKind.FILLER:
                # What is said while work goes on is no part of the answer.
                self._voice(source).prompt(body, self)
            case Clarification():
                self._question = OpenQuestion(body, source.agent, source.capability)
            case TurnDone(outcome):
                self.outcome = outcome
        self.tell(body, source)

    def relay(self, event: SaidEvent, source: Source) -> Origin:
        """Takes in an event that an agent said; gives what it has to carry as its source."""
        voice = self._speaking
        if voice is None or voice.origin.source is not source:
            voice = self._voice(source)
        if event.kind == "text_delta":
            voice.say(event.text, self)
        elif event.kind in _READ:
            self.take(event.body(), source)
        return voice.origin

    def tell(self, body: EventBody, source: Source) -> None:
        """Tells the observers."""
        for observer in self.observers:
            observer(body, source)

    def responses(self, heard: HeardAnswer | None = None) -> tuple[Message, ...]:
        """What was answered, a message per source, as far as it was heard and may be kept."""
        said = tuple(voice.said(self._turn_id) for voice in self._voices.values() if voice.answered)
        if heard:
            said = as_heard(said, heard)
        return masked_messages(said, self._secret) if self._secret is not None else said

    def state_after(self, before: ConversationState) -> ConversationState:
        """What routing needs to know for the next turn."""
        answered = [source for source, voice in self._voices.items() if source.agent and voice.answered]
        last = answered[-1] if answered else Source(before.last_agent, capability=before.last_capability)
        return ConversationState(last.agent, last.capability, self._asked(), before.turn_count + 1)

    def _asked(self) -> OpenQuestion | None:
        asked = self._question
        if asked is None or self._secret is None:
            return asked
        question = replace(asked.clarification, question=masked(asked.clarification.question, self._secret))
        return replace(asked, clarification=question)

    def _voice(self, source: Source) -> _Voice:
        voice = self._voices.get(source)
        if voice is None:
            voice = self._voices[source] = _Voice(source)
        self._speaking = voice
        return voice


class _Voice:
    """What one source has said."""

    __slots__ = ("last_prompt", "message", "origin", "pieces")

    def __init__(self, source: Source) -> None:
        self.origin = Origin(source)
        self.pieces: list[str] = []
        self.message: Message | None = None
        # The id of the prompt that spoke last, where there was one.
        self.last_prompt: str | None = None

    @property
    def answered(self) -> bool:
        return self.message is not None or bool(self.pieces)

    def say(self, text: str, account: TurnAccount) -> None:
        if not self.pieces:
            account.tell(TextDelta(text), self.origin.source)
        self.pieces.append(text)

    def prompt(self, prompt: Prompt, account: TurnAccount) -> None:
        text = _TAG.sub("", prompt.text) if prompt.ssml else prompt.text
        apart = bool(self.pieces) and prompt.id != self.last_prompt
        self.last_prompt = prompt.id
        self.say(f" {text}" if apart else text, account)

    def said(self, turn_id: str) -> Message:
        text = "".join(self.pieces)
        if self.message and (self.last_prompt is None or not self.pieces):
            return self.message
        if self.message and self.message.text not in text:
            text = f"{self.message.text} {text}"
        return Message(Role.AGENT, (TextPart(text),), self.origin.source.agent, turn_id)
