"""What is kept in memory of the conversations that are active here, so that a turn need not ask the file.

True because one process owns the file: nobody else can change what is in it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lmos_grpc.conversation.turn_story import messages_of, state_after_record
from lmos_grpc.domain.conversation import ConversationState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from lmos_grpc.domain.conversation import TurnKey, TurnRecord
    from lmos_grpc.domain.turn import Message

# So many idle ones are remembered, with so many messages each as long as none is long.
_MOST_IDLE = 2_000
MOST_MESSAGES = 40
_LONG_MESSAGE = 4_096
# Of a conversation with more turns the file is asked whether it has one.
MOST_TURNS = 200


@dataclass(slots=True)
class KnownConversation:
    """A conversation with its last messages and turns; `messages` is None where they are not known here."""

    state: ConversationState = field(default_factory=ConversationState)
    # Fingerprints by turn id.
    turns: dict[str, bytes] = field(default_factory=dict)
    # Whether there is no turn beside these, and no message.
    all_turns: bool = True
    all_messages: bool = True
    messages: tuple[Message, ...] | None = ()
    # How many turns run, or wait to be written.
    open_turns: int = 0

    def begun(self, turn_id: str, fingerprint: bytes) -> None:
        """A turn runs."""
        self._add(turn_id, fingerprint)
        self.open_turns += 1

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps it in memory while the block runs."""
        self.open_turns += 1
        try:
            yield
        finally:
            self.open_turns -= 1

    def history(self, limit: int) -> tuple[Message, ...] | None:
        """The last messages, or None where the file has to be asked."""
        if self.messages is None or (limit > len(self.messages) and not self.all_messages):
            return None
        return self.messages[-limit:] if limit > 0 else ()

    def ended(self, record: TurnRecord, state: ConversationState) -> None:
        """A turn has ended."""
        self.state = replace(state, turn_count=self.state.turn_count + 1)
        self.said(record)

    def said(self, record: TurnRecord) -> None:
        """Remembers what was said in a turn."""
        if self.messages is None:
            return
        said = messages_of((record,), MOST_MESSAGES)
        if any(len(each.text) > _LONG_MESSAGE for each in said):
            self.messages, self.all_messages = None, False
            return
        messages = (*self.messages, *said)
        self.all_messages = self.all_messages and len(messages) <= MOST_MESSAGES
        self.messages = messages[-MOST_MESSAGES:]

    def recorded(self, record: TurnRecord, fingerprint: bytes) -> None:
        """A turn that was run elsewhere was written."""
        self._add(record.key.turn_id, fingerprint)
        self.ended(record, state_after_record(self.state, record))

    def _add(self, turn_id: str, fingerprint: bytes) -> None:
        self.turns[turn_id] = fingerprint
        if len(self.turns) > 2 * MOST_TURNS:
            self.turns = dict(list(self.turns.items())[MOST_TURNS:])
            self.all_turns = False


class KnownConversations:
    """The conversations with a turn that runs, and those that had one lately."""

    def __init__(
        self, load: Callable[[str, str], Awaitable[KnownConversation]], *, most_idle: int = _MOST_IDLE
    ) -> None:
        self._load = load
        self._most_idle = most_idle
        self._known: OrderedDict[tuple[str, str], KnownConversation] = OrderedDict()
        self._loading: dict[tuple[str, str], asyncio.Future[None]] = {}

    async def get(self, tenant: str, conversation_id: str) -> KnownConversation:
        """The conversation; an empty one where there is none.

        Raises:
            StoreUnavailableError: it is not in memory, and the file cannot be read.
        """
        place = (tenant, conversation_id)
        while (known := self._known.get(place)) is None:
            # One at a time, so that what was read cannot be older than what is known meanwhile.
            if loading := self._loading.get(place):
                await asyncio.wait((loading,))
                continue
            done = self._loading[place] = asyncio.get_running_loop().create_future()
            try:
                self._known[place] = await self._load(tenant, conversation_id)
                self._make_room(place)
            finally:
                del self._loading[place]
                done.set_result(None)
        self._known.move_to_end(place)
        return known

    def find(self, key: TurnKey) -> KnownConversation | None:
        """The conversation of a turn, where it is in memory."""
        return self._known.get((key.tenant, key.conversation_id))

    def forget(self, key: TurnKey) -> None:
        """Asks the file again, unless something of the conversation is not there yet."""
        known = self.find(key)
        if known is not None and not known.open_turns:
            del self._known[key.tenant, key.conversation_id]

    def forget_idle(self) -> None:
        """As `forget`, for all of them."""
        self._known = OrderedDict((place, each) for place, each in self._known.items() if each.open_turns)

    def _make_room(self, but: tuple[str, str]) -> None:
        over = len(self._known) - self._most_idle
        for place in [place for place in list(self._known)[: max(0, over)] if place != but]:
            if not self._known[place].open_turns:
                del self._known[place]
