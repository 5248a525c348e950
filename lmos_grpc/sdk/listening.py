"""How the function of a capability hears what the caller of a live session does."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from lmos_grpc.domain.live_session import KeysPressed, UserText

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from lmos_grpc.domain.live_session import CallerInput
    from lmos_grpc.domain.turn import TurnRequest


class Listening(Protocol):
    """What `Turn` needs to listen."""

    def inputs(self) -> AsyncIterator[CallerInput]:
        """As `Turn.inputs`."""

    def interruptible(self) -> AbstractAsyncContextManager[None]:
        """As `Turn.interruptible`."""


class OneInput:
    """The `Listening` of a function that is called for one turn, and cancelled when the caller interrupts it."""

    def __init__(self, request: TurnRequest) -> None:
        self._request = request

    async def inputs(self) -> AsyncIterator[CallerInput]:
        """What began the turn."""
        yield input_of(self._request)

    def interruptible(self) -> AbstractAsyncContextManager[None]:
        """The function ends where the block would."""
        return nullcontext()


def input_of(request: TurnRequest) -> CallerInput:
    """The input that began a turn."""
    live = request.live
    match live.about if live else None:
        case KeysPressed() as keys:
            return replace(keys, turn_id=request.turn_id, sensitive=request.sensitive)
        case None:
            return UserText(
                request.message.text,
                turn_id=request.turn_id,
                confidence=live.confidence if live else None,
                locale=request.user.locale,
                sensitive=request.sensitive,
                speech_end=live.speech_end if live else None,
            )
        case about:
            return replace(about, turn_id=request.turn_id)
