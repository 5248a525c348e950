"""The interface of the log that keeps every turn of a conversation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lmos_grpc.domain.conversation import Conversation, ConversationState, TurnKey, TurnRecord
    from lmos_grpc.domain.event import AgentEvent, Outcome
    from lmos_grpc.domain.turn import Message, TurnRequest


@dataclass(frozen=True, slots=True)
class Begun:
    """A turn that is in the log; `is_new` False means that its id came before, with the same request."""

    key: TurnKey
    is_new: bool


@dataclass(frozen=True, slots=True)
class TurnPage:
    """Turns of a conversation, oldest first; an empty `next_page_token` means that this is the last page."""

    turns: tuple[TurnRecord, ...]
    next_page_token: str = ""


class TurnLog(Protocol):
    """Keeps the turns of conversations. What a call wrote is kept when it returns, as far as the log keeps anything.

    Every call sees one tenant only, the one that it names. Any of them raises StoreUnavailableError where the store
    cannot be reached, and one that is cancelled has either written all of its part or nothing that anybody sees.
    """

    async def begin(self, key: TurnKey, request: TurnRequest) -> Begun:
        """Takes a turn into the log, and its conversation with it where that is new.

        Raises:
            TurnConflictError: the turn id came before with another message, hint or answer.
        """

    async def append(self, key: TurnKey, *events: AgentEvent) -> None:
        """Writes the next events of a turn that this process began, and then shows them to those who follow it.

        The numbers go on from the last event that was written. One call at a time per turn; several events in one
        call cost little more than one. Where a call was cancelled, its numbers are free again.

        Raises:
            TurnNotFoundError: the turn was not begun here.
            InternalError: a number is not the next one, the turn is over, or another call for the turn is at work.
        """

    async def finish(
        self, key: TurnKey, outcome: Outcome, responses: tuple[Message, ...], state: ConversationState
    ) -> None:
        """Ends a turn: how, what was answered, and what routing has to know next. A second time does nothing.

        Of `state` the `turn_count` is not read: the log counts the turns that ended.

        Raises:
            TurnNotFoundError: there is no such turn.
        """

    async def abandon(self, key: TurnKey) -> None:
        """Forgets a turn that was refused before its first event: its id is free again.

        Those who follow it get TurnNotFoundError. A turn that is not known, or has events, stays as it is.
        """

    def follow(self, key: TurnKey, after_sequence: int) -> AsyncGenerator[AgentEvent, None]:
        """The events of a turn after a number, those to come included, to the end of the turn.

        Raises:
            TurnNotFoundError: there is no such turn.
        """

    async def state(self, tenant: str, conversation_id: str) -> ConversationState:
        """What routing needs to know of a conversation; the defaults where there is none."""

    async def state_before(self, key: TurnKey) -> ConversationState | None:
        """What routing needs to know before a turn that is to be run elsewhere; None where the log has that turn."""

    async def history(self, tenant: str, conversation_id: str, limit: int) -> tuple[Message, ...]:
        """The last messages of user and agents, at most `limit`, oldest first, of turns that ended."""

    async def get_conversation(self, tenant: str, conversation_id: str) -> Conversation:
        """A conversation.

        Raises:
            ConversationNotFoundError: the tenant has no such conversation.
        """

    async def list_turns(self, tenant: str, conversation_id: str, page_size: int, page_token: str = "") -> TurnPage:
        """Turns of a conversation, oldest first, from the start or from where the page before ended.

        Raises:
            ConversationNotFoundError: the tenant has no such conversation.
            InvalidPageTokenError: the token is none that a log made.
        """

    async def record_turn(self, record: TurnRecord, channel: str) -> None:
        """Writes a turn that was run elsewhere and has ended. One that is in the log already stays as it is.

        Its events are those that can be told from the record: accepted, a message per response, turn done; the last
        one has the number `record.last_sequence`, so that a caller who lost its stream can still resume.

        Raises:
            TurnConflictError: the turn id came before with another message.
        """
