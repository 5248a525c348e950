"""What the express lane has to know, and to tell, of conversations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lmos_grpc.domain.conversation import ConversationState, TurnKey, TurnRecord


class Conversations(Protocol):
    """The turn log is one, and so is its client."""

    async def state_before(self, key: TurnKey) -> ConversationState | None:
        """As `TurnLog.state_before`."""

    async def record_turn(self, record: TurnRecord, channel: str) -> None:
        """As `TurnLog.record_turn`."""
