"""Who looks on at calls: figures, a demo, a test. What is sensitive is told to nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import timedelta

    from lmos_grpc.channels.voice.call_leg import CallResult


class CallObserver(Protocol):
    """Told of what happens, in the moment that it does; must not wait. Texts are never for logs."""

    def asked(self, call_id: str, text: str) -> None:
        """The caller said or typed this."""

    def spoke(self, call_id: str, text: str) -> None:
        """The caller begins to hear this."""

    def responded(self, call_id: str, after: timedelta) -> None:
        """The first sound of an answer goes out, so long after the caller fell silent."""

    def ended(self, call_id: str, result: CallResult) -> None:
        """A call is over."""


class NobodyLooks:
    """A `CallObserver` that does nothing."""

    def asked(self, call_id: str, text: str) -> None:
        """Nothing."""

    def spoke(self, call_id: str, text: str) -> None:
        """Nothing."""

    def responded(self, call_id: str, after: timedelta) -> None:
        """Nothing."""

    def ended(self, call_id: str, result: CallResult) -> None:
        """Nothing."""
