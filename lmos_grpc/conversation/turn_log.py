"""What a log of conversations can do, whatever it is kept in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lmos_grpc.domain.conversation import Durability

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lmos_grpc.conversation.running_turn import RunningTurn
    from lmos_grpc.domain.conversation import Conversation, ConversationState, TurnKey, TurnRecord
    from lmos_grpc.domain.event import Outcome
    from lmos_grpc.domain.live_session import HeardAnswer
    from lmos_grpc.domain.turn import Message, TurnRequest


@dataclass(frozen=True, slots=True)
class Begun:
    """A turn that is in the log; `turn` is None where its id came before, with the same request."""

    key: TurnKey
    turn: RunningTurn | None

    @property
    def is_new(self) -> bool:
        """Whether the turn is to be run."""
        return self.turn is not None


@dataclass(frozen=True, slots=True)
class TurnPage:
    """Turns of a conversation, oldest first; an empty `next_page_token` means that this is the last page."""

    turns: tuple[TurnRecord, ...]
    next_page_token: str = ""


class TurnLog(Protocol):
    """Keeps the turns of conversations. Events are bytes, as `lmos_grpc.wire.framed_event` makes them.

    Every call sees one tenant only, the one that it names, and all that was said to the log before, whether or not it
    is on the disk. Those that read or wait raise StoreUnavailableError where the store cannot be reached. What is kept
    when the process is killed depends on the durability of the turn:

    * `BEFORE_SHOWN`: whatever `RunningTurn.written` or a follower has told, and an end for which `finish` has returned;
    * `BEHIND`: what is older than about a second. A turn of which nothing is kept is one that never was.
    """

    async def begin(self, key: TurnKey, request: TurnRequest, durability: Durability = Durability.BEHIND) -> Begun:
        """Takes a turn on, to which events are then added. Others see it in lists once it has one.

        Raises:
            TurnConflictError: the turn id came before with another message, hint or answer.
        """

    async def finish(
        self, turn: RunningTurn, outcome: Outcome, responses: tuple[Message, ...], state: ConversationState
    ) -> None:
        """Ends a turn: how, what was answered, and what routing has to know next. A second time does nothing.

        Where the caller is cancelled, the end is kept all the same. Of `state` the `turn_count` is not read: the log
        counts the turns that ended.
        """

    async def heard(self, key: TurnKey, answer: HeardAnswer) -> None:
        """Keeps what was heard of an answer in place of what was said; nothing where the turn is not there, or runs."""

    def abandon(self, turn: RunningTurn) -> None:
        """Forgets a turn that was refused before its first event: its id is free again.

        Those who follow it get TurnNotFoundError. A turn that has events stays as it is.
        """

    def follow(self, key: TurnKey, after_sequence: int) -> AsyncGenerator[bytes, None]:
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
