"""Who looks on at calls: figures, a demo, a test. What is sensitive is told to nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import timedelta

    from lmos_grpc.channels.voice.call_leg import CallResult
    from lmos_grpc.domain.live_session import SignalKind


class CallObserver(Protocol):
    """Told of what happens, in the moment that it does; must not wait. Texts are never for logs."""

    def began(self, call_id: str) -> None:
        """A call was answered."""

    def asked(self, call_id: str, text: str) -> None:
        """The caller said or typed this."""

    def spoke(self, call_id: str, text: str) -> None:
        """The caller begins to hear this."""

    def responded(self, call_id: str, after: timedelta) -> None:
        """The first sound of an answer goes out, so long after the caller fell silent."""

    def interrupted(self, call_id: str, after: timedelta) -> None:
        """The caller spoke over what was said; the line fell silent so long after the caller began to."""

    def asked_again(self, call_id: str, kind: SignalKind) -> None:
        """The caller said nothing, or was not understood."""

    def recording(self, call_id: str, *, paused: bool) -> None:
        """A recording of the call is to pause, or to go on."""

    def late(self, call_id: str, by: timedelta) -> None:
        """A frame goes out so late that the caller may hear it: this process has too much to do."""

    def mesh_lost(self, call_id: str) -> None:
        """The stream of the live session broke off, or the mesh has sent it away."""

    def mesh_back(self, call_id: str, *, resumed: bool) -> None:
        """The call has a live session again: the one from before, or a new one."""

    def engine_failed(self, call_id: str, engine: str) -> None:
        """The `recogniser` or the `synthesiser` failed."""

    def ended(self, call_id: str, result: CallResult) -> None:
        """A call is over."""


class NobodyLooks:
    """A `CallObserver` that does nothing; those who want to know of little are made from it."""

    def began(self, call_id: str) -> None:
        """Nothing."""

    def asked(self, call_id: str, text: str) -> None:
        """Nothing."""

    def spoke(self, call_id: str, text: str) -> None:
        """Nothing."""

    def responded(self, call_id: str, after: timedelta) -> None:
        """Nothing."""

    def interrupted(self, call_id: str, after: timedelta) -> None:
        """Nothing."""

    def asked_again(self, call_id: str, kind: SignalKind) -> None:
        """Nothing."""

    def recording(self, call_id: str, *, paused: bool) -> None:
        """Nothing."""

    def late(self, call_id: str, by: timedelta) -> None:
        """Nothing."""

    def mesh_lost(self, call_id: str) -> None:
        """Nothing."""

    def mesh_back(self, call_id: str, *, resumed: bool) -> None:
        """Nothing."""

    def engine_failed(self, call_id: str, engine: str) -> None:
        """Nothing."""

    def ended(self, call_id: str, result: CallResult) -> None:
        """Nothing."""
