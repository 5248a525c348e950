"""What can be read of conversations from the SQLite file of the turn log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos_grpc.conversation import sqlite_rows as rows
from lmos_grpc.conversation.page_token import page_token_after, place_of
from lmos_grpc.conversation.refusal import conversation_not_found
from lmos_grpc.conversation.turn_log import TurnPage
from lmos_grpc.conversation.turn_story import messages_of
from lmos_grpc.domain.conversation import ConversationState

if TYPE_CHECKING:
    import sqlite3

    from lmos_grpc.conversation.sqlite_readers import SqliteReaders
    from lmos_grpc.domain.conversation import Conversation
    from lmos_grpc.domain.turn import Message


class SqliteConversations:
    """The reading half of `SqliteTurnLog`."""

    def __init__(self, readers: SqliteReaders) -> None:
        self._readers = readers

    async def state(self, tenant: str, conversation_id: str) -> ConversationState:
        """As `TurnLog.state`."""
        found = await self._readers.run(lambda connection: rows.find_conversation(connection, tenant, conversation_id))
        return found[1].state if found else ConversationState()

    async def history(self, tenant: str, conversation_id: str, limit: int) -> tuple[Message, ...]:
        """As `TurnLog.history`."""

        def read(connection: sqlite3.Connection) -> tuple[Message, ...]:
            found = rows.find_conversation(connection, tenant, conversation_id)
            return messages_of(rows.last_ended_turns(connection, *found, limit), limit) if found else ()

        return await self._readers.run(read)

    async def get_conversation(self, tenant: str, conversation_id: str) -> Conversation:
        """As `TurnLog.get_conversation`."""
        found = await self._readers.run(lambda connection: rows.find_conversation(connection, tenant, conversation_id))
        if found is None:
            raise conversation_not_found(conversation_id)
        return found[1]

    async def list_turns(self, tenant: str, conversation_id: str, page_size: int, page_token: str = "") -> TurnPage:
        """As `TurnLog.list_turns`."""
        after = place_of(page_token)

        def read(connection: sqlite3.Connection) -> TurnPage:
            conversation = rows.find_conversation(connection, tenant, conversation_id)
            if conversation is None:
                raise conversation_not_found(conversation_id)
            found = rows.turns_after(connection, *conversation, after, page_size + 1)
            shown = found[:page_size]
            more = len(found) > page_size
            return TurnPage(tuple(turn for _, turn in shown), page_token_after(shown[-1][0]) if more else "")

        return await self._readers.run(read)
