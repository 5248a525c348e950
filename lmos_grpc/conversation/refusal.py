"""What a turn log refuses, in words that are the same for every log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos_grpc.errors import ConversationNotFoundError, TurnConflictError, TurnNotFoundError

if TYPE_CHECKING:
    from lmos_grpc.domain.conversation import TurnKey


def conversation_not_found(conversation_id: str) -> ConversationNotFoundError:
    """No such conversation."""
    return ConversationNotFoundError(
        f"there is no conversation {conversation_id!r} of this tenant: it never had a turn here, or is too old",
        conversation_id=conversation_id,
    )


def turn_not_found(key: TurnKey) -> TurnNotFoundError:
    """No such turn."""
    return TurnNotFoundError(
        f"there is no turn {key.turn_id!r} in the conversation {key.conversation_id!r}: it was never begun, "
        "was refused before its first event, or is too old",
        conversation_id=key.conversation_id,
        turn_id=key.turn_id,
    )


def require_same_request(key: TurnKey, known: bytes, said: bytes) -> None:
    """Compares two fingerprints as far as both go.

    Raises:
        TurnConflictError: they come from different requests.
    """
    common = min(len(known), len(said))
    if known[:common] != said[:common]:
        raise TurnConflictError(
            f"the turn id {key.turn_id!r} was used before in the conversation {key.conversation_id!r} "
            "with another message; a new message needs a new turn id",
            conversation_id=key.conversation_id,
            turn_id=key.turn_id,
        )
