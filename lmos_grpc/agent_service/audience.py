"""Who listens to what the caller of a live session does beside asking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lmos_grpc.domain.live_session import CallerInput


class Audience(Protocol):
    """Hears the lines of a process; a line is a live session, by the name that `LiveTurn.line` has. Nothing waits."""

    def hear(self, line: str, given: CallerInput, *, only: str = "") -> bool:
        """Takes what the caller did; False where nobody listens on that line, or not the agent that it is for."""

    def leave(self, line: str) -> None:
        """The line is over: nothing comes on it any more."""


class Nobody:
    """The `Audience` of a service whose turns are all there is to know."""

    def hear(self, line: str, given: CallerInput, *, only: str = "") -> bool:  # noqa: ARG002 # as `Audience.hear`
        """Nobody listens."""
        return False

    def leave(self, line: str) -> None:
        """Nobody is there to go."""
