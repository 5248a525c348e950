"""What is in the SQLite file of the turn log about conversations and their turns."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lmos_grpc.conversation import sqlite_rows as rows
from lmos_grpc.conversation.page_token import page_token_after, place_of
from lmos_grpc.conversation.refusal import conversation_not_found
from lmos_grpc.conversation.turn_log import TurnPage
from lmos_grpc.conversation.turn_story import messages_of

if TYPE_CHECKING:
    import sqlite3

    from lmos_grpc.conversation.known_conversations import KnownConversation
    from lmos_grpc.conversation.sqlite_readers import SqliteReaders
    from lmos_grpc.conversation.sqlite_rows import TurnRow
    from lmos_grpc.domain.conversation import Conversation, TurnKey
    from lmos_grpc.domain.turn import Message


class SqliteConversations:
    """Reads what was written; what still waits to be written is not in it."""

    def __init__(self, readers: SqliteReaders) -> None:
        self._readers = readers

    async def known(self, tenant: str, conversation_id: str) -> KnownConversation:
        """What is kept in memory of an active conversation."""
        return await self._readers.run(lambda connection: rows.known_conversation(connection, tenant, conversation_id))

    async def find_turn(self, key: TurnKey) -> TurnRow | None:
        """A turn, or None."""
        return await self._readers.run(partial(rows.find_turn, key=key))

    async def events(self, row: int, after: int) -> tuple[int, list[bytes]] | None:
        """The events of a turn that come next after a number, and the number of the first."""
        return await self._readers.run(partial(rows.read_chunk, row=row, after=after))

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
