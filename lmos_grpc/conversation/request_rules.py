"""What the requests of ConversationService have to look like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos_grpc.errors import InvalidRequestError

if TYPE_CHECKING:
    from lmos_grpc.domain.conversation import TurnRecord

_MAX_ID = 128
_DEFAULT_PAGE = 50
_MAX_PAGE = 500
# A turn has no more than this, and numbers of later events stay within 64 bits.
_MAX_SEQUENCE = 2**62


def require_id(field: str, value: str) -> None:
    """Checks an id.

    Raises:
        InvalidRequestError: it is missing or too long.
    """
    if not value:
        raise InvalidRequestError(f"{field} is missing", field=field)
    if len(value) > _MAX_ID:
        raise InvalidRequestError(f"{field} has {len(value)} characters, allowed are {_MAX_ID}", field=field)


def require_sequence(field: str, value: int) -> None:
    """Checks a sequence number.

    Raises:
        InvalidRequestError: no event can have it.
    """
    if not 0 <= value <= _MAX_SEQUENCE:
        raise InvalidRequestError(f"{field} is {value}, allowed are 0 (none) to {_MAX_SEQUENCE}", field=field)


def page_size_of(asked: int) -> int:
    """How many turns a page has.

    Raises:
        InvalidRequestError: fewer than none are asked for.
    """
    if asked < 0:
        raise InvalidRequestError(
            f"page_size is {asked}, allowed are 0 (for {_DEFAULT_PAGE}) and more", field="page_size"
        )
    return min(asked or _DEFAULT_PAGE, _MAX_PAGE)


def require_recordable(record: TurnRecord) -> None:
    """Checks a turn that is to be recorded.

    Raises:
        InvalidRequestError: an id is missing or too long, or the turn has no end.
    """
    require_id("conversation_id", record.key.conversation_id)
    require_id("turn.turn_id", record.key.turn_id)
    require_sequence("turn.last_sequence", record.last_sequence)
    if record.outcome is None:
        raise InvalidRequestError(
            "turn.outcome is missing: only turns that have ended are recorded", field="turn.outcome"
        )
