"""What a turn has to look like to be taken on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lmos_grpc.domain.strategy import strategy_fault
from lmos_grpc.domain.turn import MAX_ID_LENGTH, MAX_MESSAGE_BYTES, FilePart, TextPart
from lmos_grpc.errors import EmptyMessageError, InvalidRequestError, MessageTooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.domain.turn import Message, Strategy, TurnRequest

_MAX_PARTS = 64
_MAX_HISTORY = 200
_MAX_ATTRIBUTES = 64
_MAX_ATTRIBUTE = 1_024


def admissible(turn: TurnRequest, *, new_id: Callable[[], str]) -> TurnRequest:
    """The turn with the ids filled in that the caller left out.

    Raises:
        EmptyMessageError: the message says nothing.
        MessageTooLargeError: the message is larger than the contract allows.
        InvalidRequestError: a field is out of its limits.
    """
    if turn.message.empty and turn.answer is None:
        raise EmptyMessageError("the message is empty: give it at least one part with content")
    _check_sizes(turn)
    _check_strategy(turn.hint.strategy)
    if turn.conversation_id and turn.turn_id:
        return turn
    return replace(turn, conversation_id=turn.conversation_id or new_id(), turn_id=turn.turn_id or new_id())


def _check_sizes(turn: TurnRequest) -> None:
    sizes = (
        ("conversation_id", len(turn.conversation_id), MAX_ID_LENGTH),
        ("turn_id", len(turn.turn_id), MAX_ID_LENGTH),
        ("user.id", len(turn.user.id), MAX_ID_LENGTH),
        ("x-lmos-tenant", len(turn.context.tenant), MAX_ID_LENGTH),
        ("x-lmos-channel", len(turn.context.channel), MAX_ID_LENGTH),
        ("x-lmos-subset", len(turn.context.subset), MAX_ID_LENGTH),
        ("message.parts", len(turn.message.parts), _MAX_PARTS),
        ("history", len(turn.history), _MAX_HISTORY),
        ("user.attributes", len(turn.user.attributes), _MAX_ATTRIBUTES),
        *((f"user.attributes[{key}]", len(text), _MAX_ATTRIBUTE) for key, text in turn.user.attributes.items()),
    )
    for field, size, limit in sizes:
        if size > limit:
            raise InvalidRequestError(f"{field} has {size}, allowed are {limit}", field=field)
    if (size := _size(turn.message)) > MAX_MESSAGE_BYTES:
        raise MessageTooLargeError(
            f"the message has {size:,} bytes, allowed are {MAX_MESSAGE_BYTES:,}; send large content by reference"
        )


def _check_strategy(strategy: Strategy) -> None:
    if fault := strategy_fault(strategy):
        field, message = fault
        raise InvalidRequestError(message, field=f"route_hint.strategy.{field}")


def _size(message: Message) -> int:
    # A character is at most four bytes: short text need not be encoded to be known to fit.
    texts = [part.text for part in message.parts if isinstance(part, TextPart)]
    texts += [part.uri for part in message.parts if isinstance(part, FilePart)]
    if sum(map(len, texts)) * 4 <= MAX_MESSAGE_BYTES:
        return 0
    return sum(len(text.encode()) for text in texts)
