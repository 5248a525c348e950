"""Calls as figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos_grpc.channels.voice.call_observer import NobodyLooks

if TYPE_CHECKING:
    from datetime import timedelta

    from lmos_grpc.channels.voice.call_leg import CallResult
    from lmos_grpc.channels.voice.call_observer import CallObserver
    from lmos_grpc.domain.live_session import SignalKind
    from lmos_grpc.telemetry import CallMetrics


class MeteredCalls:
    """A `CallObserver` that counts, and passes on what it is told."""

    def __init__(self, metrics: CallMetrics, observer: CallObserver | None = None) -> None:
        self._metrics = metrics
        self._observer = observer or NobodyLooks()

    def began(self, call_id: str) -> None:
        """One more call goes on."""
        self._metrics.call_began()
        self._observer.began(call_id)

    def asked(self, call_id: str, text: str) -> None:
        """Is passed on."""
        self._observer.asked(call_id, text)

    def spoke(self, call_id: str, text: str) -> None:
        """Is passed on."""
        self._observer.spoke(call_id, text)

    def responded(self, call_id: str, after: timedelta) -> None:
        """One more answer."""
        self._metrics.answered(after)
        self._observer.responded(call_id, after)

    def interrupted(self, call_id: str, after: timedelta) -> None:
        """One more interruption."""
        self._metrics.interrupted(after)
        self._observer.interrupted(call_id, after)

    def asked_again(self, call_id: str, kind: SignalKind) -> None:
        """One more caller who was not heard."""
        self._metrics.asked_again(kind.value)
        self._observer.asked_again(call_id, kind)

    def recording(self, call_id: str, *, paused: bool) -> None:
        """One more pause."""
        if paused:
            self._metrics.recording_pauses()
        self._observer.recording(call_id, paused=paused)

    def late(self, call_id: str, by: timedelta) -> None:
        """One more late frame."""
        self._metrics.frame_late()
        self._observer.late(call_id, by)

    def mesh_lost(self, call_id: str) -> None:
        """One more stream that is gone."""
        self._metrics.mesh_lost()
        self._observer.mesh_lost(call_id)

    def mesh_back(self, call_id: str, *, resumed: bool) -> None:
        """One more that came back."""
        self._metrics.mesh_back(resumed=resumed)
        self._observer.mesh_back(call_id, resumed=resumed)

    def engine_failed(self, call_id: str, engine: str) -> None:
        """One more failure."""
        self._metrics.engine_failed(engine)
        self._observer.engine_failed(call_id, engine)

    def ended(self, call_id: str, result: CallResult) -> None:
        """One call less."""
        self._metrics.call_ended(result.end.name.lower())
        self._observer.ended(call_id, result)
