"""What is kept in memory of the conversations that are active here, so that a turn need not ask the file.

True because one process owns the file: nobody else can change what is in it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lmos_grpc.conversation.turn_story import messages_of, state_after_record
from lmos_grpc.domain.conversation import ConversationState
from lmos_grpc.domain.heard import as_heard
from lmos_grpc.domain.turn import DataPart

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from lmos_grpc.domain.conversation import TurnKey, TurnRecord
    from lmos_grpc.domain.live_session import HeardAnswer
    from lmos_grpc.domain.turn import Message

# So many idle ones are remembered, with so many turns each as long as nothing in them is long.
_MOST_IDLE = 2_000
MOST_RECORDS = 20
_LONG_MESSAGE = 4_096
# So many conversations, in the file or not, are told from new ones without asking it.
MOST_PLACES = 200_000
# Of a conversation with more turns the file is asked whether it has one.
MOST_TURNS = 200


@dataclass(slots=True)
class KnownConversation:
    """A conversation with its last turns; `records` is None where what was said in them is not known here."""

    state: ConversationState = field(default_factory=ConversationState)
    # Fingerprints by turn id.
    turns: dict[str, bytes] = field(default_factory=dict)
    # Whether there is no turn beside these, and no record.
    all_turns: bool = True
    all_records: bool = True
    records: deque[TurnRecord] | None = field(default_factory=lambda: deque(maxlen=MOST_RECORDS))
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
        if self.records is None:
            return None
        said = messages_of(self.records, limit)
        return said if self.all_records or len(said) == limit else None

    def ended(self, record: TurnRecord, state: ConversationState) -> None:
        """A turn has ended."""
        self.state = replace(state, turn_count=self.state.turn_count + 1)
        self.said(record)

    def said(self, record: TurnRecord) -> None:
        """Remembers what was said in a turn."""
        if self.records is None:
            return
        if not all(_is_short(each) for each in (record.request, *record.responses)):
            self.records = None
            return
        self.all_records = self.all_records and len(self.records) < MOST_RECORDS
        self.records.append(record)

    def heard(self, turn_id: str, answer: HeardAnswer) -> None:
        """Of the answer of a turn so much was heard."""
        for place, record in enumerate(self.records or ()):
            if self.records and record.key.turn_id == turn_id:
                self.records[place] = replace(record, responses=as_heard(record.responses, answer))

    def recorded(self, record: TurnRecord, fingerprint: bytes) -> None:
        """A turn that was run elsewhere was written."""
        self._add(record.key.turn_id, fingerprint)
        self.ended(record, state_after_record(self.state, record))

    def _add(self, turn_id: str, fingerprint: bytes) -> None:
        self.turns[turn_id] = fingerprint
        if len(self.turns) > 2 * MOST_TURNS:
            self.turns = dict(list(self.turns.items())[MOST_TURNS:])
            self.all_turns = False


def _is_short(message: Message) -> bool:
    return len(message.text) <= _LONG_MESSAGE and not any(isinstance(part, DataPart) for part in message.parts)


class KnownConversations:
    """The conversations with a turn that runs, and those that had one lately.

    `in_file` are the hashes of all places that may be in the file, or None where they are too many: what is not among
    them need not be asked for.
    """

    def __init__(
        self,
        load: Callable[[str, str], Awaitable[KnownConversation]],
        in_file: set[int] | None,
        *,
        most_idle: int = _MOST_IDLE,
    ) -> None:
        self._load = load
        self._in_file = in_file
        self._most_idle = most_idle
        self._known: OrderedDict[tuple[str, str], KnownConversation] = OrderedDict()
        self._loading: dict[tuple[str, str], asyncio.Future[None]] = {}

    async def get(self, tenant: str, conversation_id: str) -> KnownConversation:
        """The conversation; an empty one where there is none.

        Raises:
            StoreUnavailableError: it is not in memory, and the file cannot be read.
        """
        place = (tenant, conversation_id)
        if place not in self._known and self._in_file is not None and hash(place) not in self._in_file:
            self._known[place] = KnownConversation()
            self._make_room(place)
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

    def begin(self, key: TurnKey, conversation: KnownConversation, fingerprint: bytes) -> None:
        """A turn runs, and will be in the file."""
        conversation.begun(key.turn_id, fingerprint)
        self._will_be_in_file(key)

    def record(self, record: TurnRecord, conversation: KnownConversation, fingerprint: bytes) -> None:
        """A turn that was run elsewhere will be in the file."""
        conversation.recorded(record, fingerprint)
        self._will_be_in_file(record.key)

    def _will_be_in_file(self, key: TurnKey) -> None:
        if self._in_file is not None:
            self._in_file.add(hash((key.tenant, key.conversation_id)))
            if len(self._in_file) > MOST_PLACES:
                self._in_file = None

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
        for _ in range(len(self._known) - self._most_idle):
            place = next(iter(self._known))
            if place == but or self._known[place].open_turns:
                self._known.move_to_end(place)
                return
            del self._known[place]
