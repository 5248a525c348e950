"""A turn as the author of a capability sees it."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmos_grpc.domain.event import (
    Clarification,
    ClarificationOption,
    Handover,
    Status,
    ToolCall,
    ToolCallState,
    Usage,
)
from lmos_grpc.domain.live_session import (
    DtmfSpec,
    EndReason,
    InputMode,
    InputSpec,
    SessionEnded,
    Transfer,
    TransferKind,
)
from lmos_grpc.domain.turn import Message, RouteHint, Strategy, StrategyKind, TurnRequest
from lmos_grpc.errors import InvalidConfigurationError, ModelNotConfiguredError
from lmos_grpc.rpc import child_timeout
from lmos_grpc.sdk.listening import OneInput
from lmos_grpc.sdk.live_side import LiveSide

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import timedelta

    from lmos_grpc.domain.event import EventBody
    from lmos_grpc.domain.live_session import CallerInput
    from lmos_grpc.domain.turn import ClarificationAnswer, User
    from lmos_grpc.sdk.listening import Listening
    from lmos_grpc.sdk.turn_scope import TurnScope

_MAX_ID = 128


class Turn(LiveSide):
    """What the caller asks, and what an agent can do about it.

    `status`, `ask`, `hand_over`, `tool_call` and `usage` make events for the capability to yield; `ask` and
    `hand_over` end the turn. `llm` and `call` are streams to iterate over; they end when the turn does.
    """

    def __init__(self, scope: TurnScope, listening: Listening | None = None) -> None:
        self._scope = scope
        self._listening = listening or OneInput(scope.request)

    @property
    def message(self) -> Message:
        """What the caller says."""
        return self._request.message

    @property
    def text(self) -> str:
        """The text of the message."""
        return self._request.message.text

    @property
    def history(self) -> tuple[Message, ...]:
        """What was said before, oldest first, as far as the caller or the mesh remembers."""
        return self._request.history

    @property
    def user(self) -> User:
        """The person that the turn is for, as far as the caller tells."""
        return self._request.user

    @property
    def locale(self) -> str:
        """The BCP 47 language tag that the person prefers; empty where it is not known."""
        return self._request.user.locale

    @property
    def conversation_id(self) -> str:
        """The conversation that the turn belongs to."""
        return self._request.conversation_id

    @property
    def turn_id(self) -> str:
        """The idempotency key of the turn."""
        return self._request.turn_id

    @property
    def tenant(self) -> str:
        """For whom the call is."""
        return self._request.context.tenant

    @property
    def channel(self) -> str:
        """Where the call comes from, such as `web`."""
        return self._request.context.channel

    @property
    def capability(self) -> str:
        """The id of the capability that answers."""
        return self._scope.capability

    @property
    def answer(self) -> ClarificationAnswer | None:
        """The answer to a question of an earlier turn, where this turn is one."""
        return self._request.answer

    @property
    def time_left(self) -> timedelta:
        """What is left of the caller's time."""
        return self._scope.time_left

    @property
    def has_model(self) -> bool:
        """Whether a language model is configured."""
        return self._scope.model is not None

    def answered(self, clarification_id: str) -> ClarificationAnswer | None:
        """The answer to a question whose id begins with this one, or None. Its option is empty for free text."""
        answer = self._request.answer
        return answer if answer and answer.clarification_id.startswith(clarification_id) else None

    def status(self, text: str, *, progress: float | None = None) -> Status:
        """What the agent is doing, for people who wait; progress from 0 to 1."""
        return Status(text, progress)

    def ask(
        self,
        question: str,
        *,
        options: Mapping[str, str] | None = None,
        id: str = "",  # noqa: A002 # the contract's word
    ) -> Clarification:
        """A question, with the label of each option by its id; no options mean free text. Yielding it ends the turn.

        The answer is a new turn of the conversation: see `answered`.
        """
        choices = (ClarificationOption(option, label) for option, label in (options or {}).items())
        return Clarification(id or uuid.uuid4().hex, question, tuple(choices))

    def hand_over(self, *, capability: str = "", agent: str = "", reason: str = "", summary: str = "") -> Handover:
        """The wish that another agent goes on; with neither agent nor capability the mesh routes the turn anew.

        Yielding it ends the turn. The agent has to be declared with `may_hand_over=True`.
        """
        return Handover(agent, capability, reason, summary)

    def ask_digits(
        self, *, length: int = 0, terminator: str = "#", sensitive: bool = False, timeout: timedelta | None = None
    ) -> InputSpec:
        """What an edge with a keypad is to expect next: so many keys, or keys up to the terminator. Speech counts too.

        Yield it before the question. Sensitive keys are kept out of logs and recordings; `timeout` is the longest
        time between two keys, and None leaves it to the edge.
        """
        return InputSpec(
            mode=InputMode.ANY,
            dtmf=DtmfSpec(length, terminator, timeout),
            sensitive=sensitive,
        )

    def expect_speech(self, *, hints: Sequence[str] = ()) -> InputSpec:
        """What an edge is to expect next where it was digits before: speech or keys, likely one of the hints."""
        return InputSpec(mode=InputMode.ANY, hints=tuple(hints))

    def transfer(self, target: str, *, summary: str = "", queue: bool = False) -> Transfer:
        """The wish that the call goes to a number, a SIP URI or a queue, once what was said before is played in full.

        Yielding it ends the turn. Without a call, as in a chat, it only tells the caller so.
        """
        return Transfer(target, TransferKind.QUEUE if queue else TransferKind.BLIND, summary=summary)

    def hang_up(self, *, summary: str = "") -> SessionEnded:
        """The wish that the call ends once what was said before is played in full. Yielding it ends the turn."""
        return SessionEnded(EndReason.DONE, summary=summary)

    def tool_call(
        self,
        name: str,
        state: ToolCallState = ToolCallState.STARTED,
        *,
        id: str = "",  # noqa: A002 # the contract's word
        arguments: Mapping[str, Any] | None = None,  # Any: JSON values
        result: Mapping[str, Any] | None = None,  # Any: JSON values
    ) -> ToolCall:
        """A tool at work. Give the id of the call again when its state changes; empty makes one."""
        return ToolCall(id or uuid.uuid4().hex, name, state, arguments or {}, result or {})

    def usage(
        self,
        *,
        model: str = "",
        input_tokens: int = 0,
        output_tokens: int = 0,
        cost_micros: int = 0,
        currency: str = "",
        elapsed: timedelta | None = None,
    ) -> Usage:
        """What was used up beside `llm`, which counts by itself; cost in millionths of the currency unit."""
        return Usage(model, input_tokens, output_tokens, cost_micros, currency, elapsed)

    def inputs(self) -> AsyncIterator[CallerInput]:
        """What the caller does, from what began this turn on: an agent with `listens=True` stays with a live session.

        Text, partial and final; keys; silence and other signals; what was played; what was interrupted, and how much of
        it was heard (`CancelRequest`). Asking for the next one ends the turn that was answered, and the first one that
        has a `turn_id` after it begins the next: `text`, `history` and all else here are of that turn then. Outside of
        a live session, and for an agent that does not listen, it gives one input.
        """
        return self._listening.inputs()

    def interruptible(self) -> AbstractAsyncContextManager[None]:
        """A block that ends where the caller interrupts it, in place of the function, which can listen on then."""
        return self._listening.interruptible()

    def llm(self, prompt: str | Sequence[Message], *, model: str = "", system: str = "") -> AsyncGenerator[str, None]:
        """Streams what the language model answers to a prompt, or to messages such as `(*turn.history, turn.message)`.

        What it used up is told to the caller of the turn. An empty `model` means the one that is configured.

        Raises:
            ModelNotConfiguredError: no model is configured, or its server refuses the key or the name.
            ModelUnavailableError: the model did not answer, or not to its end.
        """
        if self._scope.model is None:
            raise ModelNotConfiguredError(
                "no language model is configured: set OPENAI_BASE_URL, OPENAI_API_KEY and the name of the model"
            )
        messages = (Message.from_user(prompt),) if isinstance(prompt, str) else tuple(prompt)
        spent = self._scope.model_spent
        return self._scope.own(
            self._scope.model.stream(messages, model=model, system=system, spent=spent, sensitive=self.sensitive)
        )

    def call(
        self, text: str | Message, *, capability: str = "", agent: str = ""
    ) -> AsyncGenerator[str | EventBody, None]:
        """Asks another agent through the mesh and streams what it answers: text, and events worth passing on.

        With neither agent nor capability the mesh finds who can answer. The call is a turn of a conversation between
        this agent and the mesh, for the same tenant, channel, subset and user, in what is left of the time.

        Raises:
            LmosError: the call failed, or its turn did.
        """
        if self._scope.mesh is None:
            raise InvalidConfigurationError(f"{self._scope.agent} was started without a mesh to call other agents")
        message = Message.from_user(text) if isinstance(text, str) else text
        hint = RouteHint(agent=agent, capability=capability, strategy=Strategy(StrategyKind.ONE))
        stream = self._scope.mesh.call(
            self._below(message, hint), timeout=child_timeout(self.time_left), spent=self._scope.spent.append
        )
        return self._scope.own(stream)

    def _below(self, message: Message, hint: RouteHint) -> TurnRequest:
        context = self._request.context
        return TurnRequest(
            message=message,
            # A conversation of its own: this agent's questions are not what the caller said.
            conversation_id=_derived(self.conversation_id, self._scope.agent),
            # Derived, so that a turn that is retried retries its calls and does not repeat them.
            turn_id=_derived(self.turn_id, f"{self._scope.agent}.{self._scope.next_call()}"),
            hint=hint,
            user=self.user,
            context=replace(context, visited=(*context.visited, self._scope.agent)),
            sensitive=self.sensitive,
        )


def _derived(parent: str, suffix: str) -> str:
    whole = f"{parent}.{suffix}"
    return whole if len(whole) <= _MAX_ID else hashlib.sha256(whole.encode()).hexdigest()
